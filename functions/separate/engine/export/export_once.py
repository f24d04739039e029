"""Export a model on its first use: once for its weights, into a cache that processes share."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import monotonic

from functions.separate.engine.locate import LocatedModel
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.exported_model import ExportedModel

log = logging.getLogger(__name__)


class CannotExport(ValueError):
    """These weights cannot be exported. The text gives the reason."""


class ExportCache:
    """The models that were exported on their first use, in the folder `cache`/exported."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "exported"
        self._failures: dict[str, str] = {}

    def find(self, weights_digest: str) -> ExportedModel | None:
        """Return the exported model of these weights, or None."""
        return exported_model.find(self._folder_of(weights_digest))

    def export(self, model: LocatedModel, weights_digest: str) -> ExportedModel:
        """Export the model, unless another process has done so meanwhile.

        Raises CannotExport; the next call for the same weights raises it at once. Raises
        UnusableWeights.
        """
        if weights_digest in self._failures:
            raise CannotExport(self._failures[weights_digest])
        folder = self._folder_of(weights_digest)
        try:
            with _locked(folder):
                return exported_model.find(folder) or _export(model, weights_digest, folder)
        except OSError as error:
            raise CannotExport(f"MODELS_CACHE cannot be used: {error}") from error
        except CannotExport as error:
            self._failures[weights_digest] = str(error)
            raise

    def _folder_of(self, weights_digest: str) -> Path:
        from importlib.metadata import version  # slow to import, and only needed here

        key = f"{weights_digest} {exported_model.FORMAT} {version('openvino')}"
        return self._folder / sha256(key.encode()).hexdigest()[:32]


def _export(model: LocatedModel, weights_digest: str, folder: Path) -> ExportedModel:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    start = monotonic()
    log.info("export started", extra={"model": model.name, "folder": str(folder)})
    # in a child process, so that torch never takes the server's memory
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        task = child.submit(_export_in_child, model.name, model.weights, weights_digest, folder)
        try:
            reason = task.result()
        except BrokenProcessPool as error:
            raise CannotExport("its export was killed: not enough memory?") from error
    if reason:
        raise CannotExport(reason)
    exported = exported_model.find(folder)
    if not exported:
        raise CannotExport(f"its export left nothing in {folder}")
    seconds = round(monotonic() - start, 1)
    log.info("export finished", extra={"model": model.name, "seconds": seconds})
    return exported


def _export_in_child(name: str, weights: Path | None, weights_digest: str, folder: Path) -> str:
    """Return why the model cannot be exported, or "".

    NotExportable cannot be raised across processes: the parent would import torch to unpickle it.
    """
    from functions.separate.engine import torch_engine
    from functions.separate.engine.export.exporter import NotExportable, export

    try:
        export(torch_engine.load_network(name, weights), weights_digest, folder)
    except NotExportable as error:
        return str(error)
    return ""


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time export into this folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
