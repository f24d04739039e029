"""The models of a process: which one a job gets, and the few that stay loaded."""

import logging
import threading
from collections import OrderedDict
from pathlib import Path

from functions.separate.engine import Model, UnusableWeights, hub
from functions.separate.engine.locate import (
    BUNDLED,
    FULL,
    LocatedModel,
    ModelLocator,
    OpenBucket,
    find_at_path,
)
from functions.separate.engine.selection import ModelLoader
from functions.separate.engine.settings import ModelSettings
from microdemucs.options import BadOption

log = logging.getLogger(__name__)

_MAX_LOADED = 2  # htdemucs takes about 200 MB


class ModelRegistry:
    """The models that this process can use. Thread-safe.

    `open_bucket` returns the bucket of models. It is called if a model is not on this machine's
    disks. Without it, there are no other models.
    """

    def __init__(self, settings: ModelSettings, open_bucket: OpenBucket | None = None) -> None:
        self.settings = settings
        places = settings.folder, settings.cache, settings.namespace
        self._everywhere = ModelLocator(open_bucket, *places)
        self._on_disk = ModelLocator(None, *places)
        self._loader = ModelLoader(
            settings.engine, settings.precision, settings.cache, settings.namespace
        )
        self._loaded: OrderedDict[LocatedModel, Model] = OrderedDict()
        self._lock = threading.Lock()

    def choose(self, name: str) -> LocatedModel:
        """Return the model for the option `model`; "" is the deployment's default.

        Raises BadOption, RetryLater.
        """
        return self._named(name, self._everywhere) if name else self._default(self._everywhere)

    def choose_default_on_disk(self) -> LocatedModel:
        """Return the deployment's default model, without the bucket of models. Raises BadOption."""
        return self._default(self._on_disk)

    def engines(self) -> list[str]:
        """Return the names of the engines that may run a model here."""
        return self._loader.engines()

    def found_on_disk(self) -> list[LocatedModel]:
        """Return all models that are on this machine's disks, whether they can be used or not."""
        found = self._on_disk.find_all()
        if "/" in self.settings.default:
            default = find_at_path(Path(self.settings.default))
            if default.name not in {model.name for model in found}:
                found.append(default)
        return found

    def load(self, located: LocatedModel) -> Model:
        """Return the model, loaded now or before. Raises BadOption, MemoryError."""
        with self._lock:
            if located not in self._loaded:
                while len(self._loaded) >= _MAX_LOADED:
                    self._loaded.popitem(last=False)
                self._loaded[located] = self._load(located)
            self._loaded.move_to_end(located)
            return self._loaded[located]

    def _load(self, located: LocatedModel) -> Model:
        try:
            return self._loader.load(located)
        except UnusableWeights as error:
            reason = str(error)
            log.warning("model cannot be used", extra={"model": located.name, "reason": reason})
            raise self._bad_option(located.name, reason) from error

    def _default(self, locator: ModelLocator) -> LocatedModel:
        default = self.settings.default
        if "/" in default:
            return find_at_path(Path(default))
        if default:
            return self._named(default, locator)
        return locator.find(FULL) or self._named(BUNDLED, locator)

    def _named(self, name: str, locator: ModelLocator) -> LocatedModel:
        found = locator.find(name)
        if found:
            return found
        if name in hub.names() and hub.fetches_on_demand():
            return LocatedModel(name, None)
        if "/" in self.settings.default and name == find_at_path(Path(self.settings.default)).name:
            return find_at_path(Path(self.settings.default))
        raise self._bad_option(name)

    def _bad_option(self, name: str, reason: str = "") -> BadOption:
        names = ", ".join(sorted(self._on_disk.names()))
        accepts = f"one of {names}, or a name in the bucket of models"
        if name in hub.names() and not reason:
            accepts += f"; `make models MODEL={name}` gets this one"
        if reason:
            accepts += f"; this one cannot be loaded: {reason}"
        return BadOption("model", name, accepts)
