"""A model's exported form: exported.json beside file pairs of OpenVINO, two for each network.

exported.json says which weights it was made from, how the networks are mixed, and by how many
decibels each differed from torch when it was exported, in each precision that was tried.
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from functions.separate.engine import Engine, Model

log = logging.getLogger(__name__)

FORMAT = 2
NAME = "exported.json"
COMPILED = "compiled"
"""The folder beside it in which functions.separate.engine.openvino_backend.precompile leaves what it makes."""
FAITHFUL = {"f32": -80.0, "bf16": -40.0}
"""dB, relative to the signal: what differs more from demucs' own is not used."""


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """One network: its `parts` (.xml) in the model's folder, in the order in which they hear a
    segment; its segment in s, its transform's size, and dB by precision, of what differed when it
    was checked.
    """

    parts: tuple[str, ...]
    segment: Fraction
    nfft: int
    checked: dict[str, float]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model that OpenVINO can run. `weights` is the digest of the weights it was made from."""

    folder: Path
    weights: str
    sources: tuple[str, ...]
    networks: tuple[ExportedNetwork, ...]
    mixing: list[list[float]]

    def files(self, network: ExportedNetwork) -> list[Path]:
        """Where the parts of `network` are."""
        return [self.folder / part for part in network.parts]

    def write(self, openvino: str) -> None:
        """Write exported.json, last: it is the mark that the rest is there."""
        said = {
            "format": FORMAT,
            "weights": self.weights,
            "openvino": openvino,
            "sources": list(self.sources),
            "networks": [
                {
                    "parts": list(one.parts),
                    "segment": list(one.segment.as_integer_ratio()),
                    "nfft": one.nfft,
                    "checked": one.checked,
                }
                for one in self.networks
            ],
            "mixing": self.mixing,
        }
        (self.folder / NAME).write_text(json.dumps(said, indent=2) + "\n")


def find(folder: Path) -> ExportedModel | None:
    """The exported form in `folder`, or None where there is none that this version reads."""
    try:
        said: dict[str, Any] = json.loads((folder / NAME).read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if said.get("format") != FORMAT:
        log.warning("exported form ignored: it has another format", extra={"path": str(folder)})
        return None
    networks = tuple(
        ExportedNetwork(tuple(one["parts"]), Fraction(*one["segment"]), one["nfft"], one["checked"])
        for one in said["networks"]
    )
    return ExportedModel(folder, said["weights"], tuple(said["sources"]), networks, said["mixing"])


def load(
    name: str,
    form: ExportedModel,
    note: str = "",
    cache: Path | None = None,
    precision: str = "auto",
) -> Model:
    """The model on OpenVINO, in the precision that PRECISION and this processor allow.

    `cache` keeps what is compiled. Raises ValueError, RuntimeError.
    """
    from functions.separate.engine.openvino_backend.engine import OpenVinoEngine

    precision = _precision(form, precision)
    if cache:
        _lend(form.folder / COMPILED, cache)
    engines: tuple[Engine, ...] = tuple(
        OpenVinoEngine(form.files(one), one.segment, one.nfft, precision, cache)
        for one in form.networks
    )
    return Model(name, form.sources, engines, form.mixing, note)


def _lend(compiled: Path, cache: Path) -> None:
    """Have `cache` hold what was compiled beforehand, in a folder that may be read-only."""
    if compiled == cache or not compiled.is_dir():
        return
    with suppress(OSError):  # it is compiled again
        cache.mkdir(parents=True, exist_ok=True)
        for file in compiled.iterdir():
            with suppress(FileExistsError):
                (cache / file.name).symlink_to(file)


def _precision(form: ExportedModel, asked: str) -> str:
    from functions.separate.engine.openvino_backend.engine import has_bf16

    if asked != "auto":
        return asked
    if not has_bf16():
        why = "this processor has no bf16"
    elif any(one.checked.get("bf16", 0.0) > FAITHFUL["bf16"] for one in form.networks):
        why = "bf16 was not faithful enough when it was exported"
    else:
        log.info("precision chosen", extra={"precision": "bf16", "why": "this processor has it"})
        return "bf16"
    log.info("precision chosen", extra={"precision": "f32", "why": why})
    return "f32"
