"""All job records, in memory: a view of the key-value bucket `jobs`, kept current by a watch."""

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from itertools import takewhile
from typing import NamedTuple

from microdemucs.bus import JOBS, Bus, Entry, RevisionConflict
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.keys import hash_in_key
from microdemucs.manifest import BadDocument
from microdemucs.problems import RetryLater

log = logging.getLogger(__name__)

_LOAD_TIMEOUT_S = 3
_UPLOAD_KEY = re.compile(r"form/([0-9a-f]{32})/")


class VersionedRecord(NamedTuple):
    """A job record and its revision in the key-value bucket."""

    record: JobRecord
    revision: int


class Changes(NamedTuple):
    """Jobs that have changed, the latest first, and the number of the last change of any job.

    `revision` is the one up to which the bus has sent all entries. An own write may have a higher
    one.
    """

    jobs: list[VersionedRecord]
    number: int
    revision: int


class JobsView:
    """Every job record of the bucket. Thread-safe."""

    def __init__(self) -> None:
        self.loaded = threading.Event()
        self._records: dict[str, VersionedRecord] = {}
        self._ids_by_alias: dict[str, set[str]] = defaultdict(set)
        self._changed = threading.Condition()
        self._change_numbers: dict[str, int] = {}  # by job id, in ascending order
        self._last_change = 0
        self._queue_number = 0
        self._revision = 0

    def ensure_loaded(self) -> None:
        """Raise RetryLater if the records that existed at the start have not all arrived."""
        if not self.loaded.wait(_LOAD_TIMEOUT_S):
            raise RetryLater(
                "bus-away",
                "The jobs are not loaded yet",
                "the message bus has not sent every job record: try again",
                after=3,
            )

    def apply(self, entry: Entry) -> None:
        """Apply one change that the bus reports, unless this process has written a newer one."""
        with self._changed:
            self._revision = max(self._revision, entry.revision)
            known = self._records.get(entry.key)
            # A lower revision alone does not make it older: a bus without its data begins at 1.
            if known is None or known.revision <= self._revision:
                self._apply(entry)

    def apply_own_write(self, entry: Entry) -> None:
        """Apply this process's own write at once; a newer entry from the bus takes precedence."""
        with self._changed:
            known = self._records.get(entry.key)
            if known is None or known.revision < entry.revision:
                self._apply(entry)

    @property
    def queue_number(self) -> int:
        """A number that grows if a job appears, disappears or changes its state."""
        return self._queue_number

    def records(self) -> list[JobRecord]:
        """Return every job record, in no order."""
        with self._changed:
            return [versioned.record for versioned in self._records.values()]

    def find(self, name: str) -> VersionedRecord | None:
        """Return the job with this id, or the current job of this upload id or song hash."""
        with self._changed:
            return self._find(name)

    def jobs_of(self, alias: str) -> dict[str, VersionedRecord]:
        """Return all jobs of this upload id or song hash, by job id."""
        with self._changed:
            return {id_: self._records[id_] for id_ in self._ids_by_alias.get(alias, ())}

    def wait_for_change(self, name: str, revision: int, timeout: float) -> VersionedRecord | None:
        """Return what `find` returns, as soon as its revision differs from `revision`.

        Returns None if nothing changes for `timeout` seconds. Revision 0 means "none seen yet".
        """

        def has_changed() -> bool:
            found = self._find(name)
            return found is not None and found.revision != revision

        with self._changed:
            return self._find(name) if self._changed.wait_for(has_changed, timeout) else None

    def changes_after(self, number: int, timeout: float) -> Changes:
        """Return the jobs that have changed after change `number` (0: all jobs).

        If none has, wait until one does, for at most `timeout` seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._last_change != number, timeout)
            newest_first = reversed(self._change_numbers.items())
            changed = takewhile(lambda change: change[1] > number, newest_first)
            jobs = [self._records[id_] for id_, _ in changed]
            return Changes(jobs, self._last_change, self._revision)

    def _apply(self, entry: Entry) -> None:
        if entry.value is None:
            self._remove(entry.key)
        elif record := _read_record(entry.key, entry.value):
            versioned = VersionedRecord(record, entry.revision)
            known = self._records.get(entry.key)
            if known == versioned:
                return  # an own write, or sent again after a reconnect
            if known is None or known.record.state != record.state:
                self._queue_number += 1
            self._records[entry.key] = versioned
            if alias := song_alias(record.key):
                self._ids_by_alias[alias].add(entry.key)
            self._change_numbers.pop(entry.key, None)  # it becomes the last one
            self._change_numbers[entry.key] = self._last_change + 1
        else:
            return
        self._last_change += 1
        self._changed.notify_all()

    def _find(self, name: str) -> VersionedRecord | None:
        if name in self._records:
            return self._records[name]
        jobs = (self._records[id_] for id_ in self._ids_by_alias.get(name, ()))
        return max(jobs, key=_rank, default=None)

    def _remove(self, id_: str) -> None:
        removed = self._records.pop(id_, None)
        self._change_numbers.pop(id_, None)
        self._queue_number += 1
        if removed and (alias := song_alias(removed.record.key)):
            self._ids_by_alias[alias].discard(id_)
            if not self._ids_by_alias[alias]:
                del self._ids_by_alias[alias]


def change_record(
    bus: Bus, view: JobsView, id_: str, change: Callable[[JobRecord], bool]
) -> JobRecord | None:
    """Change the job's record and return it; None if none is readable. Raises RetryLater.

    `change` returns whether it has changed the record. It is called again with a newer record if
    another process writes the record at the same time.
    """
    while entry := bus.get(JOBS, id_):
        record = JobRecord.read_or_none(entry.value)
        if not record or not change(record):
            return record
        try:
            revision = bus.update(JOBS, id_, record.write(), entry.revision)
        except RevisionConflict:
            continue
        view.apply_own_write(Entry(id_, record.write(), revision))
        return record
    return None


def song_alias(key: str) -> str:
    """Return the song hash or the upload id that the song's key holds, or ""."""
    found = _UPLOAD_KEY.match(key)
    return found[1] if found else hash_in_key(key)


def song_hash(record: JobRecord) -> str:
    """Return the name of the job's song in the API: its hash if the key holds it, else the job id.

    The hash is the SHA-256 of the song's bytes, in hex.
    """
    return hash_in_key(record.key) or record.id


def _read_record(id_: str, text: bytes) -> JobRecord | None:
    """Return the record of the job; None, and a log line, if it cannot be read."""
    try:
        record = JobRecord.read(text)
        if record.id != id_:
            raise BadDocument("it is the record of another job - at `$.id`")
    except BadDocument as error:
        log.warning("job record ignored: it cannot be read", extra={"key": id_, "why": str(error)})
        return None
    return record


def _rank(versioned: VersionedRecord) -> tuple[bool, bool, str, int]:
    """Order the jobs of one song: an unfinished one is last, else the one that ended last."""
    record, revision = versioned
    is_unfinished = record.state not in FINISHED
    return is_unfinished, record.state != JobState.SUPERSEDED, record.updated, revision
