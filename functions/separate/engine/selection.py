"""Choose the engine that runs a model: OpenVINO on a CPU; torch on a GPU, or if only torch can."""

import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from functions.separate.engine import CannotBuild, Model, UnusableWeights, hub
from functions.separate.engine.locate import LocatedModel, ModelLocator
from functions.separate.engine.settings import AUTO, OPENVINO, TORCH
from microdemucs.paths import MODELS

log = logging.getLogger(__name__)

_NVIDIA_DEVICES = ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia")


class ModelLoader:
    """Loads models on the fastest engine that the settings ENGINE and PRECISION allow.

    The folder `cache` keeps digests, and models that are prepared for this processor.
    """

    def __init__(
        self, engine: str, precision: str, cache: Path, namespace: str = hub.NAMESPACE
    ) -> None:
        self._engine = engine
        self._precision = precision
        self._cache = cache
        self._namespace = namespace
        self._not_built: dict[str, str] = {}

    def engines(self) -> list[str]:
        """Return the names of the engines that may run a model here."""
        return [
            engine
            for engine, is_installed in ((OPENVINO, True), (TORCH, _has_torch()))
            if is_installed and self._engine in (AUTO, engine)
        ]

    def load(self, model: LocatedModel) -> Model:
        """Load the model; prepare it for this processor first if necessary.

        Raises UnusableWeights with what to do, MemoryError.
        """
        try:
            weights = model.weights or self._fetch(model.name)
            model = replace(model, weights=weights)
            if self._engine == TORCH:
                return _load_on_torch(model, weights, "the setting ENGINE")
            if self._engine == AUTO and _has_cuda():
                return _load_on_torch(model, weights, "this machine has a CUDA device")
            return self._load_on_openvino(model, weights)
        except OSError as error:
            raise UnusableWeights(f"MODELS_CACHE or the weights cannot be used: {error}") from error

    def _fetch(self, name: str) -> Path:
        """Download a released model; return its folder."""
        folder = ModelLocator(None, MODELS, self._cache, self._namespace).fetched / name
        try:
            hub.fetch(name, folder, self._namespace)
        except hub.CannotFetch as error:
            try:
                hub.fetch_pickles(name, folder)
            except hub.CannotFetch:
                raise UnusableWeights(
                    f"its weights are not on this machine, and {error}"
                ) from error
        return folder

    def _load_on_openvino(self, model: LocatedModel, weights: Path) -> Model:
        # imported here: it imports OpenVINO
        from functions.separate.engine.openvino_backend import prepared_model

        digest = model.digest(self._cache)
        if digest in self._not_built:
            return self._fall_back(model, weights, self._not_built[digest])
        own, cached = (
            prepared_model.folder_in(folder, digest, self._precision)
            for folder in (model.folder, self._cache)
        )
        loaded = _read_prepared(own, model) or _read_prepared(cached, model)
        if not loaded:
            try:
                self._prepare(model, weights, digest, cached)
            except CannotBuild as error:
                self._not_built[digest] = str(error)
                return self._fall_back(model, weights, str(error))
            loaded = prepared_model.load(cached, model.name, model.note)
        _log_loaded(model, OPENVINO, "the network is built from its weights")
        return loaded

    def _prepare(self, model: LocatedModel, weights: Path, digest: str, folder: Path) -> None:
        # imported here: a start with a prepared model needs none of this
        from functions.separate.engine.bag import read_bag
        from functions.separate.engine.openvino_backend.prepare import prepare
        from functions.separate.engine.torch_backend.convert import convert

        bag = read_bag(weights, model.name)
        if bag.has_pickles and _has_torch():
            bag = convert(bag, self._cache / "converted" / digest)
        prepare(bag, model.name, folder, self._precision)

    def _fall_back(self, model: LocatedModel, weights: Path, reason: str) -> Model:
        """Load on torch what OpenVINO cannot run, unless the setting ENGINE forbids it."""
        if self._engine == OPENVINO:
            raise UnusableWeights(f"OpenVINO cannot run it: {reason}")
        if not _has_torch():
            raise UnusableWeights(
                f"OpenVINO cannot run it ({reason}), and torch is not installed; "
                "`python3 -m local.setup torch` installs it"
            )
        return _load_on_torch(model, weights, f"OpenVINO cannot run it: {reason}")


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


def _load_on_torch(located: LocatedModel, weights: Path, reason: str) -> Model:
    if not _has_torch():
        raise UnusableWeights("torch is not installed; `python3 -m local.setup torch` installs it")
    # imported here: torch takes seconds to import, and must not be imported before a server forks
    from functions.separate.engine.torch_backend.engine import load

    model = load(located.name, weights, located.note)
    _log_loaded(located, TORCH, reason)
    return model


def _log_loaded(located: LocatedModel, engine: str, reason: str) -> None:
    path = str(located.weights)
    fields = {"model": located.name, "engine": engine, "reason": reason, "path": path}
    log.info("model loaded", extra=fields)


def _has_torch() -> bool:
    return bool(find_spec("torch") and find_spec("demucs"))


def _has_cuda() -> bool:
    """Return whether torch can use a GPU. A machine without one does not wait for its import."""
    if not any(Path(path).exists() for path in _NVIDIA_DEVICES):
        return False
    if not _has_torch():
        log.warning(
            "NVIDIA device found, but torch is not installed; `python3 -m local.setup torch`"
        )
        return False
    from functions.separate.engine.torch_backend.engine import has_cuda

    return has_cuda()
