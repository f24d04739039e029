"""Which model a job gets, and the few that stay loaded."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from functions.separate.engine import Model, UnusableWeights, hub, selection
from functions.separate.engine.locate import BUNDLED, FULL, LIMITED, ModelLocator, Weights, at
from functions.separate.settings import ModelSettings
from microdemucs.options import BadOption

if TYPE_CHECKING:
    from minio import Minio

__all__ = ["BUNDLED", "LIMITED", "ModelRegistry", "Weights"]

log = logging.getLogger(__name__)

_KEPT = 2  # loaded models; htdemucs takes some 200 MB


@dataclass(slots=True)
class ModelRegistry:
    """The models that this process can use. Thread-safe.

    Without a `store` they are those on this machine's disks.
    """

    store: "Minio | None" = None
    bucket: str = ""
    folder: Path = field(default_factory=lambda: ModelSettings().folder)
    cache: Path = field(default_factory=lambda: ModelSettings().cache)
    default: str = field(default_factory=lambda: ModelSettings().default)
    engine: str = field(default_factory=lambda: ModelSettings().engine)
    precision: str = field(default_factory=lambda: ModelSettings().precision)
    _loaded: OrderedDict[Weights, Model] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, name: str) -> Weights:
        """The weights for the option `model`; "" is the deployment's default.

        Raises BadOption, RetryLater.
        """
        if name:
            return self._named(name)
        if "/" in self.default:
            return at(Path(self.default))
        if self.default:
            return self._named(self.default)
        return self._places.at_hand(FULL) or self._named(BUNDLED)

    def load(self, weights: Weights) -> Model:
        """The model, loaded now or before. Raises BadOption, MemoryError."""
        with self._lock:
            if weights not in self._loaded:
                while len(self._loaded) >= _KEPT:
                    self._loaded.popitem(last=False)
                self._loaded[weights] = self._load(weights)
            self._loaded.move_to_end(weights)
            return self._loaded[weights]

    @property
    def _places(self) -> ModelLocator:
        return ModelLocator(self.store, self.bucket, self.folder, self.cache)

    def _load(self, weights: Weights) -> Model:
        try:
            return selection.load(weights, self.engine, self.cache, self.precision)
        except UnusableWeights as error:
            raise self._unusable(weights.name, str(error)) from error

    def _named(self, name: str) -> Weights:
        found = self._places.at_hand(name)
        if found:
            return found
        if name in hub.names():
            return Weights(name, None)
        raise self._unusable(name)

    def _unusable(self, name: str, why: str = "") -> BadOption:
        if why:
            log.warning("model cannot be used", extra={"model": name, "why": why})
        accepted = ", ".join(sorted(self._places.names()))
        reason = f"a model that can be loaded ({why}); known are " if why else "one of "
        reason += accepted + ", or a name in the bucket of models"
        if not hub.names():
            reason += "; `make models MODEL=…` adds one of demucs' own"
        return BadOption("model", name, reason)
