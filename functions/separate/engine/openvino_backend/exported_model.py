"""A model exported for OpenVINO: exported.json, and for each network a pair of files per stage.

exported.json names the weights from which the model was exported and how its networks are
averaged. It also records the difference from torch in dB, for each precision that was measured.
Format 2 calls a network's stages `parts`, and these differences `checked`.
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
"""The folder beside exported.json that precompile.py fills."""
MAX_DIFFERENCE_DB = {"f32": -80.0, "bf16": -40.0}
"""Energy of the difference from demucs relative to the signal: more than this is not used."""


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """One network. `stages` are the names of its .xml files, in the order in which they run.

    `segment` is in seconds, `nfft` the length of the transform's frames. `differences` has the
    difference from torch in dB by precision, as measured after the export.
    """

    stages: tuple[str, ...]
    segment: Fraction
    nfft: int
    differences: dict[str, float]


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model in `folder` that OpenVINO can run.

    `weights_digest` identifies the weights from which it was exported. `mixing` has one row per
    network and one column per source, as engine.Model.weights.
    """

    folder: Path
    weights_digest: str
    sources: tuple[str, ...]
    networks: tuple[ExportedNetwork, ...]
    mixing: list[list[float]]

    def files(self, network: ExportedNetwork) -> list[Path]:
        """Return the paths of the network's stages."""
        return [self.folder / stage for stage in network.stages]

    def write(self, openvino: str) -> None:
        """Write exported.json. Write the other files first: it marks the export as complete."""
        document = {
            "format": FORMAT,
            "weights": self.weights_digest,
            "openvino": openvino,
            "sources": list(self.sources),
            "networks": [
                {
                    "parts": list(network.stages),
                    "segment": list(network.segment.as_integer_ratio()),
                    "nfft": network.nfft,
                    "checked": network.differences,
                }
                for network in self.networks
            ],
            "mixing": self.mixing,
        }
        (self.folder / NAME).write_text(json.dumps(document, indent=2) + "\n")


def find(folder: Path) -> ExportedModel | None:
    """Return the exported model in `folder`; None if there is none, or of another format."""
    try:
        document: dict[str, Any] = json.loads((folder / NAME).read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if document.get("format") != FORMAT:
        log.warning("exported model ignored: other format", extra={"path": str(folder)})
        return None
    networks = tuple(
        ExportedNetwork(
            tuple(network["parts"]),
            Fraction(*network["segment"]),
            network["nfft"],
            network["checked"],
        )
        for network in document["networks"]
    )
    return ExportedModel(
        folder, document["weights"], tuple(document["sources"]), networks, document["mixing"]
    )


def load(
    name: str,
    exported: ExportedModel,
    note: str = "",
    cache: Path | None = None,
    precision: str = "auto",
) -> Model:
    """Return the model on OpenVINO, in `precision` or in the best one for this processor.

    The folder `cache` keeps the compiled networks. Raises OSError, RuntimeError, ValueError.
    """
    from functions.separate.engine.openvino_backend.engine import OpenVinoEngine

    precision = _precision(exported, precision)
    if cache:
        _link_precompiled(exported.folder / COMPILED, cache)
    engines: tuple[Engine, ...] = tuple(
        OpenVinoEngine(
            exported.files(network), network.segment, network.nfft, precision, cache=cache
        )
        for network in exported.networks
    )
    return Model(name, exported.sources, engines, exported.mixing, note)


def _link_precompiled(compiled: Path, cache: Path) -> None:
    """Link the precompiled networks into `cache`; their own folder may be read-only."""
    if compiled == cache or not compiled.is_dir():
        return
    with suppress(OSError):  # then they are compiled again
        cache.mkdir(parents=True, exist_ok=True)
        for file in compiled.iterdir():
            with suppress(FileExistsError):
                (cache / file.name).symlink_to(file)


def _precision(exported: ExportedModel, setting: str) -> str:
    from functions.separate.engine.openvino_backend.engine import has_bf16

    if setting != "auto":
        return setting
    differences = (network.differences.get("bf16", 0.0) for network in exported.networks)
    if not has_bf16():
        precision, reason = "f32", "this processor has no bf16"
    elif any(difference > MAX_DIFFERENCE_DB["bf16"] for difference in differences):
        precision, reason = "f32", "bf16 differed too much from torch when it was exported"
    else:
        precision, reason = "bf16", "this processor has it"
    log.info("precision chosen", extra={"precision": precision, "reason": reason})
    return precision
