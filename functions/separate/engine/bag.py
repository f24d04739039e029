"""An ensemble of networks ("bag") on this machine: its files, and how demucs describes it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from functions.separate.engine import UnusableWeights
from functions.separate.engine.locate import find_bag
from microdemucs.models.ensemble import (
    EnsembleDescription,
    network_file,
    only_network,
    parse_description,
)


@dataclass(frozen=True, slots=True)
class Bag:
    """The files of an ensemble's networks in order, and its description.

    The description is that of the .yaml file; without such a file it says nothing.
    """

    files: list[Path]
    description: EnsembleDescription = field(default_factory=EnsembleDescription)

    @property
    def has_pickles(self) -> bool:
        """Whether torch is needed to read any of the files."""
        return any(file.suffix == ".th" for file in self.files)

    def with_files(self, files: list[Path]) -> "Bag":
        """Return the same ensemble with other files."""
        return replace(self, files=files)


def read_bag(weights: Path, name: str) -> Bag:
    """Return the networks of the model `name`, from its file or folder. Raises UnusableWeights."""
    if not weights.is_dir():
        return Bag([weights])
    yaml_file = find_bag(weights, name)
    files = {file.name: file for file in weights.iterdir()}
    if not yaml_file:
        return Bag([files[only_network(files)]])
    try:
        text = yaml_file.read_text()
    except (OSError, ValueError) as error:
        raise UnusableWeights(f"{yaml_file.name} cannot be read: {error}") from error
    ensemble = parse_description(yaml_file.name, text)
    networks = [files[network_file(files, signature)] for signature in ensemble.signatures]
    return Bag(networks, ensemble)
