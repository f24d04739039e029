"""An ensemble of networks ("bag"), as demucs describes it in a .yaml file (demucs.repo, demucs.hf).

`models` lists the signatures of the networks, `weights` has one row per network and one column per
source, and `segment` shortens the segment of every network.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import yaml

from functions.separate.engine import UnusableWeights
from functions.separate.engine.locate import WEIGHT_SUFFIXES, find_bag


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
    if description:
        return _read_description(description)
    files = [file for file in weights.iterdir() if file.suffix in WEIGHT_SUFFIXES]
    # last, since a pickle may lie beside the file that it was converted to
    files.sort(key=lambda file: file.suffix == ".safetensors")
    by_signature = {file.stem.split("-")[0]: file for file in files}
    if len(by_signature) != 1:
        raise UnusableWeights(f"the folder has no .yaml file and {len(files)} files of weights")
    return Bag(list(by_signature.values()))


def _read_description(file: Path) -> Bag:
    try:
        document = yaml.safe_load(file.read_text())
        segment = document.get("segment")
        return Bag(
            [_file_of(file.parent, str(signature)) for signature in document["models"]],
            document.get("weights"),
            Fraction(segment).limit_denominator(44_100) if segment else None,
        )
    except UnusableWeights:
        raise
    except (yaml.YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnusableWeights(f"{file.name} is no list of networks: {error}") from error


def _file_of(folder: Path, signature: str) -> Path:
    for pattern in (f"{signature}.safetensors", f"{signature}.th", f"{signature}-*.th"):
        for file in folder.glob(pattern):
            return file
    raise UnusableWeights(f"the weights {signature} of the ensemble are missing")
