"""The jobs as they are now: a view in memory of the key-value bucket, kept by watching it."""

import logging
import re
import threading
from collections import defaultdict
from typing import NamedTuple

from microdemucs.bus import Entry
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.problems import RetryLater

log = logging.getLogger(__name__)

_HASH_KEY = re.compile(r"([0-9a-f]{64})\.mp3")
_FORM_KEY = re.compile(r"form/([0-9a-f]{32})/")


class VersionedRecord(NamedTuple):
    """A job and the revision of what was seen of it."""

    record: JobRecord
    revision: int


class View:
    """Every job there is. Thread-safe."""

    def __init__(self) -> None:
        self.caught_up = threading.Event()
        self._jobs: dict[str, VersionedRecord] = {}
        self._named: dict[str, set[str]] = defaultdict(set)
        self._changed = threading.Condition()

    def check(self) -> None:
        """Raises RetryLater where not all that was there has been seen yet."""
        if not self.caught_up.wait(3):
            raise RetryLater("bus-away", "The jobs are not known yet", after=3)

    def seen(self, entry: Entry) -> None:
        """Take in what the bus tells of one job."""
        with self._changed:
            if entry.value is None:
                self._forget(entry.key)
            else:
                try:
                    record = JobRecord.read(entry.value)
                except (ValueError, TypeError, AttributeError):
                    log.warning("job record cannot be read", extra={"key": entry.key})
                    return
                self._jobs[entry.key] = VersionedRecord(record, entry.revision)
                if name := public_name(record.key):
                    self._named[name].add(entry.key)
            self._changed.notify_all()

    def wrote(self, entry: Entry) -> None:
        """Take in what this process wrote, so that it sees it at once; what is told counts more."""
        with self._changed:
            if entry.key not in self._jobs:
                self.seen(entry)

    def all(self) -> list[JobRecord]:
        """Every job, in no order."""
        with self._changed:
            return [seen.record for seen in self._jobs.values()]

    def find(self, name: str) -> VersionedRecord | None:
        """The job that `name` means: its own id, or else the id of an upload or the hash of a
        song, of which it is the latest.
        """
        with self._changed:
            return self._find(name)

    def wait(self, name: str, revision: int, seconds: float) -> VersionedRecord | None:
        """What `find` says, as soon as its revision is another than `revision` (0: none yet).

        None after `seconds` in which nothing changed.
        """

        def changed() -> bool:
            found = self._find(name)
            return found is not None and found.revision != revision

        with self._changed:
            return self._find(name) if self._changed.wait_for(changed, seconds) else None

    def _find(self, name: str) -> VersionedRecord | None:
        if name in self._jobs:
            return self._jobs[name]
        return max((self._jobs[id_] for id_ in self._named.get(name, ())), key=_rank, default=None)

    def _forget(self, id_: str) -> None:
        gone = self._jobs.pop(id_, None)
        if gone and (name := public_name(gone.record.key)):
            self._named[name].discard(id_)
            if not self._named[name]:
                del self._named[name]


def public_name(key: str) -> str:
    """What a song is known by beside its job: the hash of its bytes, or the id of its upload.

    "" for songs that came another way.
    """
    found = _HASH_KEY.fullmatch(key) or _FORM_KEY.match(key)
    return found[1] if found else ""


def song_hash(record: JobRecord) -> str:
    """What the API calls this song: the hash of its bytes where its key has it, else the job."""
    found = _HASH_KEY.fullmatch(record.key)
    return found[1] if found else record.id


def _rank(seen: VersionedRecord) -> tuple[bool, bool, str, int]:
    """Of several jobs of one song: one that is worked on, else the one that ended last."""
    record, revision = seen
    at_work = record.state not in FINISHED
    return at_work, record.state != JobState.SUPERSEDED, record.updated, revision
