"""What a new process does first: it reads its own model, while the rest of it is imported.

A process that is started for a song waits for nothing longer. OpenVINO reads a compiled network
without Python's lock, and nothing here imports the store's client or the web's.
"""

import importlib
import sys
import threading
from contextlib import suppress

from functions.separate.engine.registry import ModelRegistry
from functions.separate.settings import TORCH

_begun: ModelRegistry | None = None


def start() -> None:
    """Load the deployment's own model in a thread, if it lies on this machine's disks.

    Only in a process that will not fork: threads stay behind.
    """
    global _begun
    _begun = ModelRegistry()
    if _begun.engine != TORCH:
        # its model converter is half of OpenVINO's import, and OpenVINO does without it
        sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
        # here, and not in the thread: there it would share Python's lock with the other imports
        with suppress(ImportError):
            importlib.import_module("functions.separate.engine.openvino_backend.engine")
    threading.Thread(target=_load, args=[_begun], daemon=True).start()


def models() -> ModelRegistry:
    """Those that were begun with, or new ones. Whoever wants the first waits until it is there."""
    return _begun or ModelRegistry()


def _load(models: ModelRegistry) -> None:
    with suppress(Exception):  # whoever wants it is told
        models.load(models.choose(""))
