"""Write a job's record, as long as this process has the lease.

Each write names the revision that it replaces. So a process that stood still cannot turn the record
of a finished job back, and nothing that others write is overwritten unread.
"""

import threading

from functions.separate.lease import Lease
from microdemucs.bus import JOBS, Bus, RevisionConflict
from microdemucs.jobs import JobRecord
from microdemucs.problems import is_after


class RecordWriter:
    """Writes the record of one job. `event_time` is when its song was sent.

    `earlier` is the record from before this run, if there is one. Raises RetryLater.
    """

    def __init__(self, bus: Bus, lease: Lease, job: str, event_time: str = "") -> None:
        self._bus = bus
        self._lease = lease
        self._event_time = event_time
        self._lock = threading.Lock()
        entry = bus.get(JOBS, job)
        self._revision = entry.revision if entry else 0
        self.earlier = JobRecord.read_or_none(entry.value) if entry else None

    def write(self, record: JobRecord) -> None:
        """Write the record. A cancel request that somebody else has recorded is kept.

        Raises RetryLater, also if the lease is lost.
        """
        with self._lock:
            while True:
                self._lease.ensure_held()
                try:
                    self._revision = self._write(record)
                except RevisionConflict:
                    self._lease.confirm()
                    self._read_again(record)
                else:
                    return

    def _write(self, record: JobRecord) -> int:
        if not self._revision:
            return self._bus.create(JOBS, record.id, record.write())
        return self._bus.update(JOBS, record.id, record.write(), self._revision)

    def _read_again(self, record: JobRecord) -> None:
        entry = self._bus.get(JOBS, record.id)
        self._revision = entry.revision if entry else 0
        stored = JobRecord.read_or_none(entry.value) if entry else None
        if stored and is_for_event(stored.cancel_requested, self._event_time):
            record.cancel_requested = stored.cancel_requested


def is_for_event(cancel_requested: str, event_time: str) -> bool:
    """Whether a cancel request is for the job that an event of this time started.

    A song that was sent after the request is not cancelled by it.
    """
    return bool(cancel_requested) and not is_after(event_time, cancel_requested)
