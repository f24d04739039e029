"""An ensemble of networks ("bag"), as demucs describes it in a .yaml file (demucs.repo, demucs.hf).

`models` lists the signatures of the networks, `weights` has one row per network and one column per
source, and `segment` shortens the segment of every network.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from functions.separate.engine import UnusableWeights
from functions.separate.engine.locate import find_bag
from microdemucs.models.ensemble import network_file, only_network, parse_description


@dataclass(frozen=True, slots=True)
class Bag:
    """The files of an ensemble's networks in order.

    `weights` is None if all networks count the same, `segment` (in s) None for the networks' own.
    """

    files: list[Path]
    weights: list[list[float]] | None = None
    segment: Fraction | None = None

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
    description = find_bag(weights, name)
    files = {file.name: file for file in weights.iterdir()}
    if not description:
        return Bag([files[only_network(files)]])
    try:
        text = description.read_text()
    except (OSError, ValueError) as error:
        raise UnusableWeights(f"{description.name} cannot be read: {error}") from error
    networks = parse_description(description.name, text)
    return Bag(
        [files[network_file(files, signature)] for signature in networks.signatures],
        networks.weights,
        networks.segment,
    )
