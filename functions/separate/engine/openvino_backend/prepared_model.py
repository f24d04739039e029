"""A model that is compiled for one kind of processor: prepared.json, and the networks' stages."""

import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import openvino

from functions.separate.engine import Engine, Model
from functions.separate.engine.openvino_backend.compile import read_compiled
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.openvino_backend.processor import processor_digest

log = logging.getLogger(__name__)

FORMAT = 2
"""Changes whenever the networks are built otherwise, so that old ones are not used."""
NAME = "prepared.json"
COMPILED = "compiled"
"""The folder beside a model's weights in which it may be prepared for a kind of processor."""


@dataclass(frozen=True, slots=True)
class PreparedNetwork:
    """One network. `stages` are the names of its files, in the order in which they run.

    `segment` is in seconds, as a fraction's text; `nfft` is the length of the transform's frames.
    `reason` says why `precision` was chosen.
    """

    stages: list[str]
    segment: str
    nfft: int
    precision: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """The contents of prepared.json.

    `mixing` has one row per network and one column per source, as engine.Model.weights.
    """

    sources: list[str]
    networks: list[PreparedNetwork]
    mixing: list[list[float]]

    def write(self, folder: Path) -> None:
        """Write prepared.json. Write the other files first: it marks the model as complete."""
        (folder / NAME).write_text(json.dumps(asdict(self), indent=2) + "\n")


def folder_in(parent: Path, weights_digest: str, precision: str) -> Path:
    """Return the folder for these weights, this processor and this version of OpenVINO.

    `parent` is the model's own folder, or MODELS_CACHE; `precision` is the setting PRECISION.
    """
    key = f"{weights_digest} {precision} {FORMAT} {openvino.__version__} {processor_digest()}"
    return parent / COMPILED / sha256(key.encode()).hexdigest()[:32]


def is_prepared(folder: Path) -> bool:
    """Return whether `folder` has a prepared model."""
    return (folder / NAME).exists()


def discard(folder: Path) -> None:
    """Mark a prepared model as incomplete, if the folder can be written."""
    with suppress(OSError):
        (folder / NAME).unlink()


def read(folder: Path) -> PreparedModel:
    """Read prepared.json. Raises OSError, ValueError, KeyError, TypeError."""
    document = json.loads((folder / NAME).read_text())
    networks = [PreparedNetwork(**network) for network in document["networks"]]
    return PreparedModel(document["sources"], networks, document["mixing"])


def load(folder: Path, name: str, note: str = "") -> Model:
    """Load the model in `folder`. Raises OSError, RuntimeError, ValueError, KeyError, TypeError."""
    prepared = read(folder)
    engines: list[Engine] = []
    for network in prepared.networks:
        stages = read_compiled([folder / stage for stage in network.stages])
        engines.append(
            OpenVinoEngine(stages, Fraction(network.segment), network.nfft, network.precision)
        )
        fields = {"precision": network.precision, "reason": network.reason}
        log.info("precision chosen", extra=fields)
    return Model(name, tuple(prepared.sources), tuple(engines), prepared.mixing, note)
