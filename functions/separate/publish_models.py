"""Publish which models this process can use, for the upload function, and again when that changes.

The record is an object in the bucket of models, since it must last while no process runs. Old and
new processes overlap during an update, so a process writes only when it starts, when its own models
change, and when there is no record.
"""

import logging
import threading

from functions.separate.engine.inventory import make_record
from functions.separate.engine.registry import ModelRegistry
from microdemucs.bucket import Bucket
from microdemucs.models.catalogue import MAX_RECORD_BYTES, RECORD_KEY
from microdemucs.problems import RetryLater
from microdemucs.shutdown import stopping
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)

_AFTER_S = 3.0  # the first song of a new process goes first
_EVERY_S = 20.0


class ModelsPublisher:
    """Publishes the models of a process. Thread-safe."""

    def __init__(self, models: ModelRegistry, bucket: Bucket) -> None:
        self._models = models
        self._bucket = bucket
        self._published = b""
        self._has_tried = False
        self._has_failed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Publish the models in a thread for as long as the process runs."""
        threading.Thread(target=self._run, name="models", daemon=True).start()

    def publish(self) -> None:
        """Write the record if it is new or changed, or if there is none. Logs what fails."""
        with self._lock:
            self._has_tried = True
            try:
                self._publish()
            except (RetryLater, ObjectChanged, OSError) as error:
                if not self._has_failed:
                    log.warning("models not published", extra={"reason": str(error)})
                self._has_failed = True
            else:
                self._has_failed = False

    def publish_once(self) -> None:
        """Publish unless this process has tried to do so before."""
        if not self._has_tried:
            self.publish()

    def _publish(self) -> None:
        record = make_record(self._models).write()
        stored = self._bucket.read(RECORD_KEY, MAX_RECORD_BYTES)
        if stored != record and (record != self._published or stored is None):
            self._bucket.write(RECORD_KEY, record, "application/json")
            log.info("models published", extra={"bucket": self._bucket.name})
        self._published = record

    def _run(self) -> None:
        pause = _AFTER_S
        while not stopping.wait(pause):
            self.publish()
            pause = _EVERY_S
