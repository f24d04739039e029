"""Which files are the networks of a model: its list of networks ("bag"), or its only network.

demucs describes an ensemble in a .yaml file (demucs.repo, demucs.hf): `models` lists the
signatures of the networks, `weights` has one row per network and one column per source, and
`segment` shortens the segment of every network.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from microdemucs.models import SAMPLE_RATE, UnusableWeights

WEIGHT_SUFFIXES = (".safetensors", ".th")


@dataclass(frozen=True, slots=True)
class EnsembleDescription:
    """A parsed .yaml file.

    `weights` is None if all networks count the same, `segment` (in s) None for the networks' own.
    """

    signatures: list[str] = field(default_factory=list)
    weights: list[list[float]] | None = None
    segment: Fraction | None = None


def parse_description(file_name: str, text: str) -> EnsembleDescription:
    """Parse a .yaml file. Raises UnusableWeights."""
    import yaml  # here, as not every component has it

    try:
        document = yaml.safe_load(text)
        segment = document.get("segment")
        if not document["models"]:
            raise ValueError("it lists none")
        return EnsembleDescription(
            [str(signature) for signature in document["models"]],
            document.get("weights"),
            Fraction(segment).limit_denominator(SAMPLE_RATE) if segment else None,
        )
    except (
        *(yaml.YAMLError, AttributeError, KeyError, TypeError),
        *(ValueError, ArithmeticError, RecursionError),
    ) as error:
        raise UnusableWeights(f"{file_name} is no list of networks: {error}") from error


def description_file(files: Iterable[str], model: str) -> str | None:
    """Return the name of the .yaml file among a model's `files`, or None if it has none."""
    descriptions = sorted(file for file in files if file.endswith(".yaml"))
    own = f"{model}.yaml"
    return own if own in descriptions else next(iter(descriptions), None)


def network_file(files: Iterable[str], signature: str) -> str:
    """Return the name of the file with a network's weights. Raises UnusableWeights.

    Safetensors come first, since a pickle may lie beside the file that it was converted to.
    """
    names = sorted(files)
    for name in (f"{signature}.safetensors", f"{signature}.th"):
        if name in names:
            return name
    for name in names:
        if name.startswith(f"{signature}-") and name.endswith(".th"):
            return name
    raise UnusableWeights(f"the weights {signature} of the ensemble are missing")


def only_network(files: Iterable[str]) -> str:
    """Return the name of the only network in a folder without a .yaml file.

    Raises UnusableWeights.
    """
    weights = [file for file in files if file.endswith(WEIGHT_SUFFIXES)]
    signatures = {file.rpartition(".")[0].split("-")[0] for file in weights}
    if len(signatures) != 1:
        raise UnusableWeights(f"the folder has no .yaml file and {len(weights)} files of weights")
    return network_file(weights, signatures.pop()) if len(weights) > 1 else weights[0]
