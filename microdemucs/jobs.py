"""A job: one separation of one version of a song with one set of options.

Its id is computed, never random: an idempotency key. The same event ten times is one job.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct, field

from microdemucs.events import ObjectCreated
from microdemucs.manifest import BadDocument, decode
from microdemucs.options import BadOption, Options, option_metadata
from microdemucs.problems import is_after, now
from microdemucs.submitters import submitter_of
from microdemucs.work_estimate import WorkEstimate

log = logging.getLogger(__name__)


class JobState(StrEnum):
    """Where a job is. `waiting` and `running` are the only states that it can leave."""

    WAITING = "waiting"  # in the stream of songs, or between two attempts
    RUNNING = "running"  # a process separates it, or its ranges are in work
    DONE = "done"  # its manifest is in the output bucket
    FAILED = "failed"  # its failure is there, or its message is a dead letter
    CANCELLED = "cancelled"  # somebody asked for that
    SUPERSEDED = "superseded"  # its song was removed or replaced


FINISHED = frozenset(JobState) - {JobState.WAITING, JobState.RUNNING}

PHASES = {
    "downloading": (0.0, 0.02),
    "decoding": (0.02, 0.04),
    "separating": (0.04, 0.98),
    "uploading": (0.98, 1.0),
}
"""The phases of a job in order, each with the progress at which it begins and ends.

The numbers fit a song of a few minutes. Stems are encoded and uploaded while the song is still
being separated; the phase uploading is only the rest.
"""


def job_id(song: ObjectCreated) -> str:
    """Return the job's id: 32 hex digits of bucket, key, version (else eTag) and changed options.

    Options that cannot be parsed count as written: such a job has an id too, and fails once.
    """
    chosen: Mapping[str, Any]
    try:
        chosen = Options.of_metadata(song.metadata).changed()
    except BadOption:
        chosen = option_metadata(song.metadata)
    identity = [song.bucket, song.key, song.version or song.etag, chosen]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def options_hash(options: Options) -> str:
    """Return 16 hex digits: with a song's SHA-256, the key of a result that can be reused."""
    changed = json.dumps(options.changed(), sort_keys=True).encode()
    return hashlib.sha256(changed).hexdigest()[:16]


def preview_prefix(song_key: str) -> str:
    """Return the prefix, in the output bucket, of the previews of a song's unfinished stems."""
    return f"{song_key}/.live/"


def preview_key(song_key: str, file: str, number: int) -> str:
    """Return the key of preview chunk `number` (from 1) of the stem `file`."""
    return f"{preview_prefix(song_key)}{file}/{number:06}"


def peaks_preview_prefix(song_key: str) -> str:
    """Return the prefix, in the output bucket, of the peaks of a song's unfinished stems."""
    return f"{preview_prefix(song_key)}peaks/"


def peaks_preview_key(song_key: str, start: int) -> str:
    """Return the key of the peaks of unfinished stems whose first column is `start`."""
    return f"{peaks_preview_prefix(song_key)}{start:08}"


def song_digest(song_key: str) -> str:
    """Return 32 hex digits: a song's key in the key-value buckets `leases` and `notified`."""
    return hashlib.sha256(song_key.encode()).hexdigest()[:32]


class JobRecord(Struct):
    """What is known of a job: its entry in the key-value bucket `jobs`, a view of the buckets.

    `progress` runs from 0 to 1 over all phases; `phase` is one of PHASES, or "". Times are RFC
    3339 in UTC. `problem` is an RFC 9457 document. `stems` are the names of objects beside the
    manifest, `song` is what was learned of the audio (sha256, seconds). `cancel_requested` is when
    somebody asked to cancel the job. `removed` is when its stems were removed, or found missing.
    `estimate` is how much work the job is; None until its song is decoded. `submitter` is who sent
    the song (microdemucs.submitters).
    """

    id: str
    bucket: str
    key: str
    etag: str
    version: str = ""
    size: int = 0
    submitter: str = ""
    options: dict[str, Any] = {}
    state: JobState = JobState.WAITING
    phase: str = ""
    progress: float = 0.0
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    started: str = ""
    finished: str = ""
    cancel_requested: str = ""
    removed: str = ""
    trace: str = ""
    model: str = ""
    stems: list[str] = []
    warnings: list[str] = []
    song: dict[str, Any] = {}
    estimate: WorkEstimate | None = None
    problem: dict[str, Any] | None = None

    @staticmethod
    def of(song: ObjectCreated, **known: Any) -> "JobRecord":
        """Return the record of a waiting job. Options that cannot be parsed are kept as written."""
        options: dict[str, Any]
        try:
            options = Options.of_metadata(song.metadata).changed()
        except BadOption:
            options = dict(option_metadata(song.metadata))
        return JobRecord(
            id=job_id(song),
            bucket=song.bucket,
            key=song.key,
            etag=song.etag,
            version=song.version,
            size=song.size,
            submitter=submitter_of(song.key, song.metadata),
            options=options,
            created=song.time or now(),
            **known,
        )

    def is_restarted_by(self, event_time: str) -> bool:
        """Whether an event of the song at `event_time` starts this finished job again.

        The later wish wins: a song that is sent again after its job failed, was cancelled or was
        superseded is separated. A job that is done stays done, unless its stems were removed.
        """
        if self.state == JobState.DONE:
            return is_after(event_time, self.removed)
        return self.state in FINISHED and is_after(event_time, self.finished)

    def remove_results(self, time: str) -> None:
        """Record that the job's stems were removed at `time`.

        `updated` stays: it orders the jobs of one song by when they ended.
        """
        self.stems, self.removed = [], time

    @staticmethod
    def read(text: bytes) -> "JobRecord":
        """Read what `write` wrote; unknown members are ignored. Raises BadDocument."""
        return decode(text, JobRecord)

    @staticmethod
    def read_or_none(text: bytes | None) -> "JobRecord | None":
        """Return the record; None if there is none, or if it cannot be read, which is logged."""
        try:
            return JobRecord.read(text) if text else None
        except BadDocument as error:
            log.warning("job record ignored: it cannot be read", extra={"why": str(error)})
            return None

    def write(self) -> bytes:
        """Return the record as JSON."""
        return msgspec.json.encode(self)
