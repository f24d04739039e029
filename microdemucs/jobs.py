"""A job: one separation of one version of a song with one set of options.

Its identity is computed, never drawn, so the same event ten times is one job.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from microdemucs.events import ObjectCreated
from microdemucs.options import BadOption, Options, option_metadata
from microdemucs.problems import now

MANIFEST = "manifest.json"
FAILURE = "failure.json"

WAITING, RUNNING = "waiting", "running"
DONE, FAILED, CANCELLED, SUPERSEDED = "done", "failed", "cancelled", "superseded"
STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED, SUPERSEDED)
FINISHED = frozenset({DONE, FAILED, CANCELLED, SUPERSEDED})

PHASES = {
    "downloading": (0.0, 0.02),
    "decoding": (0.02, 0.04),
    "separating": (0.04, 0.98),
    "uploading": (0.98, 1.0),
}
"""The phases of a job in their order, and how far along it is where each begins and ends: shares
of the whole as they are for a song of some minutes. Stems are encoded and uploaded while the song
is still being separated: uploading is what is left then."""


def job_id(song: ObjectCreated) -> str:
    """32 hex digits from bucket, key, version (else eTag) and the options that differ.

    Options that cannot be read count as they were written: such a job has an identity too,
    and fails once.
    """
    chosen: Mapping[str, Any]
    try:
        chosen = Options.of_metadata(song.metadata).changed()
    except BadOption:
        chosen = option_metadata(song.metadata)
    said = [song.bucket, song.key, song.version or song.etag, chosen]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def options_hash(options: Options) -> str:
    """16 hex digits: with a song's SHA-256, the name of a result that may be used again."""
    said = json.dumps(options.changed(), sort_keys=True).encode()
    return hashlib.sha256(said).hexdigest()[:16]


def manifest_key(song_key: str) -> str:
    """Where in the output bucket the mark of a finished job is."""
    return f"{song_key}/{MANIFEST}"


def failure_key(song_key: str) -> str:
    """Where in the output bucket it says why a song cannot be separated."""
    return f"{song_key}/{FAILURE}"


def preview_prefix(song_key: str) -> str:
    """Before the keys of what can be heard of stems that are not done."""
    return f"{song_key}/.live/"


def preview_key(song_key: str, file: str, number: int) -> str:
    """Where piece `number`, from 1, of the stem's `file` is."""
    return f"{preview_prefix(song_key)}{file}/{number:06}"


def song_digest(song_key: str) -> str:
    """The key under which whoever writes beside `song_key` holds that right."""
    return hashlib.sha256(song_key.encode()).hexdigest()[:32]


@dataclass(slots=True)
class JobRecord:
    """What is known of a job: a line in the key-value bucket `jobs`, a view of the buckets.

    `progress` runs from 0 to 1 over all phases; `phase` is one of PHASES, or "". Times are RFC
    3339 in UTC. `problem` is an RFC 9457 document. `stems` are names of objects beside the
    manifest, `song` what was learned of the audio (sha256, seconds).
    """

    id: str
    bucket: str
    key: str
    etag: str
    version: str = ""
    size: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    state: str = WAITING
    phase: str = ""
    progress: float = 0.0
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    started: str = ""
    finished: str = ""
    trace: str = ""
    model: str = ""
    stems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    song: dict[str, Any] = field(default_factory=dict)
    problem: dict[str, Any] | None = None

    @staticmethod
    def of(song: ObjectCreated, **known: Any) -> "JobRecord":
        """The record of a job that waits. Options that cannot be read are kept as written."""
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
            options=options,
            created=song.time or now(),
            **known,
        )

    @staticmethod
    def read(text: bytes) -> "JobRecord":
        """Read what `write` wrote; members of a later version are left out."""
        known = set(JobRecord.__slots__)
        return JobRecord(**{k: v for k, v in json.loads(text).items() if k in known})

    def write(self) -> bytes:
        """The record as JSON."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(said, ensure_ascii=False).encode()
