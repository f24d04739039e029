"""The export of a model on its first use: once for its weights, in the cache, for all processes."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import monotonic

from functions.separate.engine.locate import Weights
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.exported_model import ExportedModel

log = logging.getLogger(__name__)

_refused: dict[Path, str] = {}


class CannotExport(ValueError):
    """There is no exported form of these weights, nor will be; the text says why."""


def folder_of(digest: str, cache: Path) -> Path:
    """Where the exported form of the weights lies, for this format and this OpenVINO."""
    from importlib.metadata import version  # a tenth of what a process imports before its model

    made_by = f"{digest} {exported_model.FORMAT} {version('openvino')}"
    return cache / "exported" / sha256(made_by.encode()).hexdigest()[:32]


def export(weights: Weights, digest: str, cache: Path) -> ExportedModel:
    """The exported form, made now unless another process has. Raises CannotExport, UnusableWeights.

    What cannot be exported is not tried again by this process.
    """
    folder = folder_of(digest, cache)
    if folder in _refused:
        raise CannotExport(_refused[folder])
    try:
        with _alone(folder):
            found = exported_model.find(folder) or _made(weights, digest, folder)
    except OSError as error:
        raise CannotExport(f"MODELS_CACHE cannot be used: {error}") from error
    except CannotExport as error:
        _refused[folder] = str(error)
        raise
    return found


def _made(weights: Weights, digest: str, folder: Path) -> ExportedModel:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    start = monotonic()
    log.info("exporting", extra={"model": weights.name, "into": str(folder)})
    # A process of its own, so that a server's memory never holds torch.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        try:
            reason = apart.submit(_export, weights.name, weights.path, digest, folder).result()
        except BrokenProcessPool as error:
            raise CannotExport("its export was killed: not enough memory?") from error
    if reason:
        raise CannotExport(reason)
    found = exported_model.find(folder)
    if not found:
        raise CannotExport(f"its export left nothing in {folder}")
    log.info("exported", extra={"model": weights.name, "seconds": round(monotonic() - start, 1)})
    return found


def _export(name: str, path: Path | None, digest: str, folder: Path) -> str:
    """Why it cannot be, or "". Its exceptions cannot cross: to know them is to import torch."""
    from functions.separate.engine import torch_engine
    from functions.separate.engine.export.exporter import NotExportable, export

    try:
        export(torch_engine.network(name, path), digest, folder)
    except NotExportable as error:
        return str(error)
    return ""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two processes that need the same model export it once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
