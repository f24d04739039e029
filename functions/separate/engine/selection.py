"""Choose the engine that runs a model: OpenVINO on a CPU; torch on a GPU, or if only torch can."""

import logging
from importlib.util import find_spec
from pathlib import Path

from functions.separate.engine import Model, UnusableWeights, hub
from functions.separate.engine.export.export_once import CannotExport, ExportCache
from functions.separate.engine.locate import LocatedModel
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.exported_model import ExportedModel
from functions.separate.engine.settings import AUTO, OPENVINO, TORCH

log = logging.getLogger(__name__)

_NVIDIA_DEVICES = ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia")


class ModelLoader:
    """Loads models on the fastest engine that the settings ENGINE and PRECISION allow.

    The folder `cache` keeps digests, and models that are exported on first use or compiled.
    """

    def __init__(self, engine: str, precision: str, cache: Path) -> None:
        self._engine = engine
        self._precision = precision
        self._cache = cache
        self._exports = ExportCache(cache)

    def load(self, model: LocatedModel) -> Model:
        """Load the model; export it to OpenVINO first if necessary.

        Raises UnusableWeights with what to do, MemoryError.
        """
        if self._engine == TORCH:
            return _load_on_torch(model, "the setting ENGINE")
        if self._engine == AUTO and _has_cuda() and not _is_export_only(model):
            return _load_on_torch(model, "this machine has a CUDA device")
        model = _fetch_if_missing(model)
        try:
            digest = model.digest(self._cache)
        except OSError as error:
            raise UnusableWeights(str(error)) from error
        exported = _matching_export(model, digest) or (digest and self._exports.find(digest))
        if exported:
            return self._load_on_openvino(model, exported, "the model is exported")
        if not _has_torch():
            raise UnusableWeights(
                "it is not exported for OpenVINO, and torch, which could do that, is not "
                f"installed; `make models MODEL={model.name}` exports it"
            )
        try:
            if not digest:
                raise CannotExport("only demucs itself can download it")
            exported = self._exports.export(model, digest)
        except CannotExport as error:
            if self._engine == OPENVINO:
                raise UnusableWeights(f"it cannot be exported for OpenVINO: {error}") from error
            return _load_on_torch(model, f"it cannot be exported: {error}")
        return self._load_on_openvino(model, exported, "the model was exported on first use")

    def _load_on_openvino(
        self, located: LocatedModel, exported: ExportedModel, reason: str
    ) -> Model:
        try:
            model = exported_model.load(
                located.name, exported, located.note, self._cache / "compiled", self._precision
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise UnusableWeights(f"its exported model cannot be read: {error}") from error
        _log_loaded(located, OPENVINO, reason)
        return model


def _load_on_torch(located: LocatedModel, reason: str) -> Model:
    if not _has_torch():
        raise UnusableWeights("torch is not installed; `python3 -m local.setup torch` installs it")
    if _is_export_only(located):
        raise UnusableWeights("it is present as an exported model only, which torch cannot run")
    # imported here: torch takes seconds to import, and must not be imported before a server forks
    from functions.separate.engine import torch_engine

    _require_source(located)
    model = torch_engine.load(located.name, located.weights, located.note)
    _log_loaded(located, TORCH, reason)
    return model


def _log_loaded(located: LocatedModel, engine: str, reason: str) -> None:
    path = str(located.weights or located.export_folder or "hub")
    fields = {"model": located.name, "engine": engine, "reason": reason, "path": path}
    log.info("model loaded", extra=fields)


def _matching_export(model: LocatedModel, digest: str) -> ExportedModel | None:
    """Return the exported model in the model's own folder, unless it is of other weights."""
    exported = exported_model.find(model.export_folder) if model.export_folder else None
    if exported and digest and exported.weights_digest != digest:
        fields = {"model": model.name, "path": str(model.export_folder)}
        log.warning("exported model ignored: made from other weights", extra=fields)
        return None
    return exported


def _fetch_if_missing(model: LocatedModel) -> LocatedModel:
    """Download the weights from the hub if they are nowhere yet and the hub has them."""
    if model.weights or model.export_folder:
        return model
    _require_source(model)
    try:
        return LocatedModel(model.name, hub.fetch(model.name))
    except Exception as error:  # noqa: BLE001 (huggingface_hub raises many; demucs has another hub)
        fields = {"model": model.name, "reason": repr(error)}
        log.info("model is not on the hub", extra=fields)
        return model


def _require_source(model: LocatedModel) -> None:
    if not (model.weights or model.export_folder or hub.is_reachable()):
        raise UnusableWeights("its weights are not on this machine, and no hub can be reached")


def _is_export_only(model: LocatedModel) -> bool:
    return bool(model.export_folder and not model.weights)


def _has_torch() -> bool:
    return bool(find_spec("torch") and find_spec("demucs"))


def _has_cuda() -> bool:
    """Return whether torch can use a GPU; does not import torch on a machine without one."""
    if not any(Path(path).exists() for path in _NVIDIA_DEVICES):
        return False
    if not _has_torch():
        log.warning(
            "NVIDIA device found, but torch is not installed; `python3 -m local.setup torch`"
        )
        return False
    import torch

    return torch.cuda.is_available()
