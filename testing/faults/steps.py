"""See from outside when a job reaches a step: by its record on the bus, or by the store's disk."""

import threading
import time
from pathlib import Path

from microdemucs.bus import JOBS, Bus, Entry
from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import MANIFEST, BadDocument
from testing.faults.components import FaultStack
from testing.faults.plan import Step

_LOOK_S = 0.001


class StepWatcher:
    """Watches job records, and the folders of the songs in `expected_files`.

    `expected_files` are the names of a song's stems, by the key of the song.
    """

    def __init__(self, stack: FaultStack) -> None:
        self.expected_files: dict[str, tuple[str, ...]] = {}
        self._stems_folder = stack.store_folder / "stems"
        self._bus = Bus(stack.bus_settings("upload"), "faults")
        self._changed = threading.Condition()
        self._latest: tuple[int, JobRecord] | None = None
        self._bus.watch(JOBS, self._on_entry, threading.Event())

    def close(self) -> None:
        """Stop watching."""
        self._bus.close()

    def wait(self, step: Step, seconds: float) -> str | None:
        """Return the job that is at this step, or None after `seconds`.

        Before the manifest the job is not known: "".
        """
        end = time.monotonic() + seconds
        if step == Step.BEFORE_MANIFEST:
            while time.monotonic() < end:
                if any(self._lacks_only_manifest(key) for key in list(self.expected_files)):
                    return ""
                time.sleep(_LOOK_S)
            return None
        seen = self._latest[0] if self._latest else 0
        with self._changed:
            while (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
                if self._latest and self._latest[0] > seen:
                    seen, record = self._latest
                    if record.phase == step and record.state == JobState.RUNNING:
                        return record.id
        return None

    def _on_entry(self, entry: Entry) -> None:
        if entry.value is None:
            return
        try:
            record = JobRecord.read(entry.value)
        except BadDocument:
            return
        with self._changed:
            self._latest = entry.revision, record
            self._changed.notify_all()

    def _lacks_only_manifest(self, key: str) -> bool:
        folder = Path(self._stems_folder, key)
        files = self.expected_files[key]
        return (
            bool(files)
            and not (folder / MANIFEST).exists()
            and all((folder / file).exists() for file in files)
        )
