"""Load the default model in a thread while the rest of the process is imported.

This is the longest wait of a process that is started for a song. OpenVINO reads a compiled network
without Python's lock, and nothing here imports the clients of the store and the web.
"""

import importlib
import threading
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from functions.separate.engine import process
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import TORCH, ModelSettings

if TYPE_CHECKING:
    from microdemucs.bucket import Bucket


def start() -> None:
    """Load the default model in a thread, if it is on this machine's disks.

    Call it in a process that will not fork: a thread does not survive a fork.
    """
    models = registry()
    if models.settings.engine != TORCH:
        process.skip_openvino_converter()
        # here, and not in the thread: there it would share Python's lock with the other imports
        with suppress(ImportError):
            importlib.import_module("functions.separate.engine.openvino_backend.prepared_model")
    threading.Thread(target=_load, args=[models], daemon=True).start()


@cache
def registry() -> ModelRegistry:
    """Return the models of this process, the same ones each time. Raises BadSetting.

    Loading the default model waits until `start` has loaded it.
    """
    return ModelRegistry(ModelSettings(), open_models_bucket)


@cache
def open_models_bucket() -> "Bucket":
    """Return the bucket of models. Raises BadSetting."""
    # imported here: a process that has its model on disk loads the model first
    from microdemucs import store
    from microdemucs.bucket import Bucket
    from microdemucs.settings import StoreSettings

    settings = StoreSettings()
    return Bucket(store.connect(settings), settings.models)


def _load(models: ModelRegistry) -> None:
    with suppress(Exception):  # the first song that needs the model reports the error
        models.load(models.choose_default_on_disk())
