"""Which model a job gets, and the few that stay loaded."""

import logging
import threading
from collections import OrderedDict
from pathlib import Path

from functions.separate.engine import Model, UnusableWeights, hub, selection
from functions.separate.engine.locate import (
    BUNDLED,
    FULL,
    LIMITED,
    ModelLocator,
    OpenBucket,
    Weights,
    at,
)
from functions.separate.settings import ModelSettings
from microdemucs.options import BadOption

__all__ = ["BUNDLED", "LIMITED", "ModelRegistry", "Weights"]

log = logging.getLogger(__name__)

_KEPT = 2  # loaded models; htdemucs takes some 200 MB


class ModelRegistry:
    """The models that this process can use. Thread-safe.

    `open_bucket` returns the bucket of models. It is called if a model is not on this machine's
    disks. Without it, there are no other models.
    """

    def __init__(self, settings: ModelSettings, open_bucket: OpenBucket | None = None) -> None:
        self.settings = settings
        self._everywhere = ModelLocator(open_bucket, settings.folder, settings.cache)
        self._on_disk = ModelLocator(None, settings.folder, settings.cache)
        self._loaded: OrderedDict[Weights, Model] = OrderedDict()
        self._lock = threading.Lock()

    def choose(self, name: str) -> Weights:
        """The weights for the option `model`; "" is the deployment's default.

        Raises BadOption, RetryLater.
        """
        return self._named(name, self._everywhere) if name else self._default(self._everywhere)

    def choose_default_on_disk(self) -> Weights:
        """The weights of the deployment's default, if no bucket is asked. Raises BadOption."""
        return self._default(self._on_disk)

    def load(self, weights: Weights) -> Model:
        """The model, loaded now or before. Raises BadOption, MemoryError."""
        with self._lock:
            if weights not in self._loaded:
                while len(self._loaded) >= _KEPT:
                    self._loaded.popitem(last=False)
                self._loaded[weights] = self._load(weights)
            self._loaded.move_to_end(weights)
            return self._loaded[weights]

    def _load(self, weights: Weights) -> Model:
        settings = self.settings
        try:
            return selection.load(weights, settings.engine, settings.cache, settings.precision)
        except UnusableWeights as error:
            raise self._unusable(weights.name, str(error)) from error

    def _default(self, locator: ModelLocator) -> Weights:
        default = self.settings.default
        if "/" in default:
            return at(Path(default))
        if default:
            return self._named(default, locator)
        return locator.at_hand(FULL) or self._named(BUNDLED, locator)

    def _named(self, name: str, locator: ModelLocator) -> Weights:
        found = locator.at_hand(name)
        if found:
            return found
        if name in hub.names():
            return Weights(name, None)
        raise self._unusable(name)

    def _unusable(self, name: str, why: str = "") -> BadOption:
        if why:
            log.warning("model cannot be used", extra={"model": name, "why": why})
        accepted = ", ".join(sorted(self._on_disk.names()))
        reason = f"a model that can be loaded ({why}); known are " if why else "one of "
        reason += accepted + ", or a name in the bucket of models"
        if not hub.names():
            reason += "; `make models MODEL=…` adds one of demucs' own"
        return BadOption("model", name, reason)
