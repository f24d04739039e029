"""Choose the engine that runs a model: OpenVINO on a CPU; torch on a GPU, or if only torch can."""

import logging
from importlib.util import find_spec
from pathlib import Path

from functions.separate.engine import CannotBuild, Model, UnusableWeights, hub
from functions.separate.engine.locate import LocatedModel
from functions.separate.engine.settings import AUTO, OPENVINO, TORCH

log = logging.getLogger(__name__)

_NVIDIA_DEVICES = ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia")


class ModelLoader:
    """Loads models on the fastest engine that the settings ENGINE and PRECISION allow.

    The folder `cache` keeps digests, and models that are prepared for this processor.
    """

    def __init__(self, engine: str, precision: str, cache: Path) -> None:
        self._engine = engine
        self._precision = precision
        self._cache = cache
        self._not_built: dict[str, str] = {}

    def load(self, model: LocatedModel) -> Model:
        """Load the model; prepare it for this processor first if necessary.

        Raises UnusableWeights with what to do, MemoryError.
        """
        if self._engine == TORCH:
            return _load_on_torch(model, "the setting ENGINE")
        if self._engine == AUTO and _has_cuda():
            return _load_on_torch(model, "this machine has a CUDA device")
        model = _fetch_if_missing(model)
        if not model.weights:
            return self._fall_back(model, "only demucs itself can download it")
        try:
            return self._load_on_openvino(model, model.weights)
        except OSError as error:
            raise UnusableWeights(f"MODELS_CACHE or the weights cannot be used: {error}") from error

    def _load_on_openvino(self, model: LocatedModel, weights: Path) -> Model:
        # imported here: it imports OpenVINO
        from functions.separate.engine.openvino_backend import prepared_model

        digest = model.digest(self._cache)
        if digest in self._not_built:
            return self._fall_back(model, self._not_built[digest])
        name = prepared_model.folder_name(digest, self._precision)
        own, cached = (
            folder / prepared_model.COMPILED / name for folder in (model.folder, self._cache)
        )
        loaded = _read_prepared(own, model) or _read_prepared(cached, model)
        if not loaded:
            try:
                self._prepare(model, weights, digest, cached)
            except CannotBuild as error:
                self._not_built[digest] = str(error)
                return self._fall_back(model, str(error))
            loaded = prepared_model.load(cached, model.name, model.note)
        _log_loaded(model, OPENVINO, "the network is built from its weights")
        return loaded

    def _prepare(self, model: LocatedModel, weights: Path, digest: str, folder: Path) -> None:
        # imported here: a start with a prepared model needs none of this
        from functions.separate.engine.bag import read_bag
        from functions.separate.engine.convert import convert
        from functions.separate.engine.openvino_backend.prepare import prepare

        bag = read_bag(weights, model.name)
        if bag.has_pickles and _has_torch():
            bag = convert(bag, self._cache / "converted" / digest)
        prepare(bag, model.name, folder, self._precision)

    def _fall_back(self, model: LocatedModel, reason: str) -> Model:
        """Load on torch what OpenVINO cannot run, unless the setting ENGINE forbids it."""
        if self._engine == OPENVINO:
            raise UnusableWeights(f"OpenVINO cannot run it: {reason}")
        if not _has_torch():
            raise UnusableWeights(
                f"OpenVINO cannot run it ({reason}), and torch is not installed; "
                "`python3 -m local.setup torch` installs it"
            )
        return _load_on_torch(model, f"OpenVINO cannot run it: {reason}")


def _read_prepared(folder: Path, model: LocatedModel) -> Model | None:
    """Return the prepared model in `folder`; None if there is none, or a broken one."""
    from functions.separate.engine.openvino_backend import prepared_model

    if not prepared_model.is_prepared(folder):
        return None
    try:
        return prepared_model.load(folder, model.name, model.note)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        fields = {"path": str(folder), "reason": str(error)}
        log.warning("prepared model cannot be read", extra=fields)
        prepared_model.discard(folder)
        return None


def _load_on_torch(located: LocatedModel, reason: str) -> Model:
    if not _has_torch():
        raise UnusableWeights("torch is not installed; `python3 -m local.setup torch` installs it")
    # imported here: torch takes seconds to import, and must not be imported before a server forks
    from functions.separate.engine import torch_engine

    _require_source(located)
    model = torch_engine.load(located.name, located.weights, located.note)
    _log_loaded(located, TORCH, reason)
    return model


def _log_loaded(located: LocatedModel, engine: str, reason: str) -> None:
    path = str(located.weights or "hub")
    fields = {"model": located.name, "engine": engine, "reason": reason, "path": path}
    log.info("model loaded", extra=fields)


def _fetch_if_missing(model: LocatedModel) -> LocatedModel:
    """Download the weights from the hub if they are nowhere yet and the hub has them."""
    if model.weights:
        return model
    _require_source(model)
    try:
        return LocatedModel(model.name, hub.fetch(model.name))
    except Exception as error:  # noqa: BLE001 (huggingface_hub raises many; demucs has another hub)
        fields = {"model": model.name, "reason": repr(error)}
        log.info("model is not on the hub", extra=fields)
        return model


def _require_source(model: LocatedModel) -> None:
    if not (model.weights or hub.is_reachable()):
        raise UnusableWeights("its weights are not on this machine, and no hub can be reached")


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
