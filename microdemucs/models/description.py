"""What users see of a model, read from the headers of its files: sources, segment, networks."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Protocol

from msgspec import Struct

from microdemucs.models import SAMPLE_RATE, CannotBuild, UnusableWeights
from microdemucs.models.architecture import CLASS, read_architecture
from microdemucs.models.ensemble import (
    EnsembleDescription,
    description_file,
    network_file,
    only_network,
    parse_description,
)
from microdemucs.models.weights_header import NetworkHeader, read_header

OPENVINO, TORCH = "openvino", "torch"

_MAX_DESCRIPTION_BYTES = 1 << 16
_CLASSES_OF_TORCH = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", CLASS)
_DEFAULT_SEGMENTS = {CLASS: 10}  # seconds (demucs 4.1)
_OTHER_SEGMENT = 40


class ModelFiles(Protocol):
    """The files of one model, wherever they are. All methods may raise what the place raises."""

    def sizes(self) -> Mapping[str, int]:
        """Return the names of the files, without folders, and their sizes in bytes."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of a file from `offset` on; b"" at its end."""


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What users see of a model.

    `segment` is the default length of its windows in seconds, `max_segment` the longest that it
    accepts (None for no limit). A pickle (.th) shows nothing of this before torch loads it: then
    `sources` is empty, and `segment` None.
    """

    sources: list[str]
    segment: float | None
    max_segment: float | None
    networks: int


def describe(model: str, files: ModelFiles, engines: Sequence[str]) -> ModelFacts:
    """Return what the headers of a model's files say, if one of `engines` can run it.

    Raises UnusableWeights with the reason, and what `files` raises.
    """
    sizes = files.sizes()
    description = description_file(sizes, model)
    if description:
        text = files.read(description, 0, _MAX_DESCRIPTION_BYTES).decode(errors="replace")
        ensemble = parse_description(description, text)
        chosen = [network_file(sizes, signature) for signature in ensemble.signatures]
    else:
        ensemble = EnsembleDescription()
        chosen = [only_network(sizes)]
    if any(name.endswith(".th") for name in chosen):
        _require_torch(engines, "a pickle (.th) needs torch once, to become safetensors")
        return ModelFacts(sources=[], segment=None, max_segment=None, networks=len(chosen))
    headers = {name: read_header(name, sizes[name], partial(files.read, name)) for name in chosen}
    networks = [_describe_network(*item, ensemble.segment, engines) for item in headers.items()]
    sources = networks[0].sources
    if any(network.sources != sources for network in networks):
        raise UnusableWeights("its networks have different sources")
    _check_weights(ensemble, len(networks), len(sources))
    return ModelFacts(
        sources=sources,
        segment=max(network.segment or 0 for network in networks),
        max_segment=min(
            (network.max_segment for network in networks if network.max_segment), default=None
        ),
        networks=len(networks),
    )


def _describe_network(
    name: str, header: NetworkHeader, bag_segment: Fraction | None, engines: Sequence[str]
) -> ModelFacts:
    try:
        if OPENVINO not in engines:
            raise CannotBuild("the setting ENGINE is torch")
        if header.is_quantized:
            raise CannotBuild("its weights are quantized")
        architecture = read_architecture(header)
        segment, sources = architecture.segment, [*map(str, architecture.sources)]
    except CannotBuild as error:
        _require_torch(engines, str(error))
        segment, sources = _read_arguments(name, header)
    except (TypeError, ArithmeticError) as error:
        raise UnusableWeights(f"the arguments of {name} cannot be used: {error}") from error
    has_limit = header.class_name == CLASS
    if bag_segment and (not has_limit or bag_segment <= segment):
        segment = bag_segment
    return ModelFacts(
        sources=sources,
        segment=float(segment),
        max_segment=float(segment) if has_limit else None,
        networks=1,
    )


def _read_arguments(name: str, header: NetworkHeader) -> tuple[Fraction, list[str]]:
    """Return the segment and the sources of a network that only torch runs."""
    if header.class_name not in _CLASSES_OF_TORCH:
        raise UnusableWeights(f"{header.class_name} is no network of demucs")
    arguments = dict(zip(("sources", "audio_channels"), header.positional, strict=False))
    arguments |= header.keywords
    made_for = arguments.get("audio_channels", 2), arguments.get("samplerate", SAMPLE_RATE)
    if made_for != (2, SAMPLE_RATE):
        raise UnusableWeights(f"made for {made_for[0]} channels at {made_for[1]} Hz")
    default = _DEFAULT_SEGMENTS.get(header.class_name, _OTHER_SEGMENT)
    try:
        return Fraction(arguments.get("segment", default)), [*map(str, arguments["sources"])]
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnusableWeights(f"the arguments of {name} cannot be used: {error!r}") from error


def _require_torch(engines: Sequence[str], reason: str) -> None:
    if TORCH not in engines:
        raise UnusableWeights(f"OpenVINO cannot run it ({reason}), and there is no torch")


def _check_weights(ensemble: EnsembleDescription, networks: int, sources: int) -> None:
    rows = ensemble.weights
    if rows is None:
        return
    is_table = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not is_table or len(rows) != networks or any(len(row) != sources for row in rows):
        raise UnusableWeights("its .yaml file has not one weight per network and source")
