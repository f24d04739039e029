"""Which engine serves a model: OpenVINO on a CPU, torch where only torch can or a GPU is there."""

import logging
import threading
from importlib.util import find_spec
from pathlib import Path

from functions.separate.engine import Model, UnusableWeights, hub
from functions.separate.engine.export import export_once
from functions.separate.engine.locate import Weights
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.exported_model import ExportedModel
from functions.separate.settings import AUTO, OPENVINO, TORCH

log = logging.getLogger(__name__)

# OpenVINO sets the process's locale while it reads a model; two at once would leave it as "C".
_reading = threading.Lock()
_NVIDIA = ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia")


def load(weights: Weights, engine: str, cache: Path, precision: str = "auto") -> Model:
    """The model on the fastest engine that `engine` allows, exported first where that is needed.

    Raises UnusableWeights, which says what to do; MemoryError.
    """
    if engine == TORCH:
        return _on_torch(weights, "the setting ENGINE")
    if engine == AUTO and _has_cuda() and not _is_exported_only(weights):
        return _on_torch(weights, "a CUDA device is here")
    weights = _here(weights)
    try:
        digest = weights.digest(cache)
    except OSError as error:
        raise UnusableWeights(str(error)) from error
    form = _beside(weights, digest) or (
        digest and exported_model.find(export_once.folder_of(digest, cache))
    )
    if form:
        return _on_openvino(weights, form, cache, precision, "its exported form is at hand")
    if not _has_torch():
        raise UnusableWeights(
            "it is not exported for OpenVINO, and torch is not installed here: "
            f"`make models MODEL={weights.name}` exports it"
        )
    try:
        if not digest:
            raise export_once.CannotExport("only demucs itself can fetch it")
        form = export_once.export(weights, digest, cache)
    except export_once.CannotExport as error:
        if engine == OPENVINO:
            raise UnusableWeights(f"it cannot be exported for OpenVINO: {error}") from error
        return _on_torch(weights, f"it cannot be exported: {error}")
    return _on_openvino(weights, form, cache, precision, "it was exported for this first use")


def _on_openvino(
    weights: Weights, form: ExportedModel, cache: Path, precision: str, why: str
) -> Model:
    try:
        with _reading:
            model = exported_model.load(
                weights.name, form, weights.note, cache / "compiled", precision
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise UnusableWeights(f"its exported form cannot be read: {error}") from error
    _tell(weights, OPENVINO, why)
    return model


def _on_torch(weights: Weights, why: str) -> Model:
    if not _has_torch():
        raise UnusableWeights("torch is not installed here: `python3 -m local.setup torch`")
    if _is_exported_only(weights):
        raise UnusableWeights("there is its exported form only, which torch cannot run")
    # here, since torch takes seconds to import and must not start before a server forks
    from functions.separate.engine import torch_engine

    _ask_hub(weights)
    model = torch_engine.load(weights.name, weights.path, weights.note)
    _tell(weights, TORCH, why)
    return model


def _tell(weights: Weights, engine: str, why: str) -> None:
    where = str(weights.path or weights.home or "hub")
    log.info(
        "model loaded",
        extra={"model": weights.name, "engine": engine, "why": why, "path": where},
    )


def _beside(weights: Weights, digest: str) -> ExportedModel | None:
    """The exported form in the model's own folder, unless it was made from other weights."""
    form = exported_model.find(weights.home) if weights.home else None
    if form and digest and form.weights != digest:
        said = {"model": weights.name, "path": str(weights.home)}
        log.warning("exported form ignored: it was made from other weights", extra=said)
        return None
    return form


def _here(weights: Weights) -> Weights:
    """With the weights in the hub's cache, where they are nowhere yet and the hub has them."""
    if weights.path or weights.home:
        return weights
    _ask_hub(weights)
    try:
        return Weights(weights.name, hub.fetch(weights.name))
    except Exception as error:  # noqa: BLE001 (the client has many; demucs knows another place)
        log.info("not on the hub", extra={"model": weights.name, "why": repr(error)})
        return weights


def _ask_hub(weights: Weights) -> None:
    if not (weights.path or weights.home or hub.answers()):
        raise UnusableWeights("its weights are not here, and no hub can be reached")


def _is_exported_only(weights: Weights) -> bool:
    return bool(weights.home and not weights.path)


def _has_torch() -> bool:
    return bool(find_spec("torch") and find_spec("demucs"))


def _has_cuda() -> bool:
    """Whether torch can work on a GPU. Where there is no such device, torch is not imported."""
    if not any(Path(path).exists() for path in _NVIDIA):
        return False
    if not _has_torch():
        log.warning("an NVIDIA device is here, but not torch: `python3 -m local.setup torch`")
        return False
    import torch

    return torch.cuda.is_available()
