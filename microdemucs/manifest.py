"""manifest.json and failure.json: what a job leaves beside its song when it ends.

docs/events.md describes every member. Readers ignore members that they do not know.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

MANIFEST = "manifest.json"
FAILURE = "failure.json"

_T = TypeVar("_T")


class BadDocument(ValueError):
    """The text is not the document that was expected; the message says what is wrong."""


class StoredSong(Struct, frozen=True, kw_only=True):
    """The object that a job separates. `version` is "" in a bucket that keeps no versions."""

    bucket: str
    key: str
    etag: str
    version: str = ""
    size: int = 0
    """Bytes."""


class CoverEntry(Struct, frozen=True):
    """The object with the cover in the song's tags, a JPEG or PNG. `size` is in bytes."""

    key: str
    size: int
    content_type: str


class SeparatedSong(StoredSong, frozen=True, kw_only=True):
    """The object, and what is known of it once it has been decoded."""

    sha256: str
    """Of the object's bytes, in hex."""
    seconds: float
    """Of audio."""
    codec: str | UnsetType = UNSET
    """FFmpeg's name. Manifests of version 0.1 have only the members above."""
    sample_rate: int | UnsetType = UNSET
    """The song's own, in Hz."""
    channels: int | UnsetType = UNSET
    bits: int | UnsetType = UNSET
    """Per sample, of a codec that keeps them all."""
    tags: dict[str, str] | UnsetType = UNSET
    """title, artist, album, track, date, bpm and key, as far as the song has them."""
    loudness: float | UnsetType = UNSET
    """Integrated loudness of the decoded audio in LUFS (ITU-R BS.1770)."""
    cover: CoverEntry | UnsetType = UNSET

    @property
    def facts(self) -> dict[str, Any]:
        """What a job record shows of the song: sha256, seconds, tags, loudness, cover."""
        facts: dict[str, Any] = {"sha256": self.sha256, "seconds": self.seconds}
        if self.tags is not UNSET:
            facts["tags"] = self.tags
        if self.loudness is not UNSET:
            facts["loudness"] = self.loudness
        if self.cover is not UNSET:
            facts["cover"] = self.cover.key.rsplit("/", 1)[-1]
        return facts


class ModelInfo(Struct, frozen=True):
    """The model that separated a song. `note` tells a listener about its quality."""

    name: str
    note: str | UnsetType = UNSET


class StemEntry(Struct, frozen=True):
    """One stem in the output bucket. `size` is in bytes.

    `scale` is the factor that clip_mode `rescale` applied; it is missing if it applied none.
    `sample_rate` is in Hz: 44,100, or less in an MP3 of a low bit rate.
    """

    name: str
    key: str
    size: int
    content_type: str
    scale: float | UnsetType = UNSET
    sample_rate: int | UnsetType = UNSET

    @property
    def file(self) -> str:
        """The object's name beside the manifest."""
        return self.key.rsplit("/", 1)[-1]


class PeaksEntry(Struct, frozen=True):
    """The object with the peaks of all stems (microdemucs.peaks). `size` is in bytes.

    `columns` is how many it has, `rate` how many per second.
    """

    key: str
    size: int
    content_type: str
    rate: int
    columns: int


class Manifest(Struct, frozen=True, kw_only=True):
    """The completion marker of a job: it lists the stems, and exists only if they do.

    Times are RFC 3339 in UTC; `timings` are seconds per phase.
    """

    job: str
    trace: str = ""
    song: SeparatedSong
    options: dict[str, Any]
    callback: str = ""
    created: str = ""
    started: str = ""
    stems: list[StemEntry]
    peaks: PeaksEntry | UnsetType = UNSET
    reused_from: str | UnsetType = UNSET
    model: ModelInfo
    warnings: list[str] = []
    timings: dict[str, float] = {}
    finished: str

    @property
    def objects(self) -> dict[str, int]:
        """The objects that the manifest lists: key → size in bytes."""
        sizes = {stem.key: stem.size for stem in self.stems}
        if self.peaks is not UNSET:
            sizes[self.peaks.key] = self.peaks.size
        if self.song.cover is not UNSET:
            sizes[self.song.cover.key] = self.song.cover.size
        return sizes

    @staticmethod
    def read(text: bytes) -> "Manifest":
        """Read what `write` wrote. Raises BadDocument."""
        return decode(text, Manifest)

    def write(self) -> bytes:
        """Return the manifest as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


class Failure(Struct, frozen=True, kw_only=True):
    """Why a job has no stems: an RFC 9457 problem, with members about the job beside it."""

    problem: dict[str, Any]
    job: str
    trace: str = ""
    song: StoredSong
    options: dict[str, Any]
    callback: str = ""
    created: str = ""
    started: str = ""
    finished: str

    @property
    def is_cancelled(self) -> bool:
        """Whether the job was cancelled, rather than impossible."""
        return str(self.problem.get("type", "")).endswith(":cancelled")

    @property
    def decided(self) -> str:
        """The time up to which events of the song have this outcome; a later one starts a job.

        For a cancelled job this is when somebody asked for that: the song may have been sent again
        before the job ended.
        """
        cancelled_at = self.problem.get("cancelled_at") if self.is_cancelled else None
        return cancelled_at if isinstance(cancelled_at, str) else self.finished

    @staticmethod
    def read(text: bytes) -> "Failure":
        """Read what `write` wrote. Raises BadDocument."""
        members = decode(text, dict[str, Any])
        about_the_job = {name: members.pop(name) for name in _ABOUT_THE_JOB if name in members}
        return convert(about_the_job | {"problem": members}, Failure)

    def write(self) -> bytes:
        """Return the failure as indented JSON, the problem's members first."""
        members = msgspec.to_builtins(self)
        flat = members.pop("problem") | members
        return msgspec.json.format(msgspec.json.encode(flat), indent=2)


_ABOUT_THE_JOB = tuple(name for name in Failure.__struct_fields__ if name != "problem")


def manifest_key(song_key: str) -> str:
    """Return the key, in the output bucket, of the song's manifest."""
    return f"{song_key}/{MANIFEST}"


def failure_key(song_key: str) -> str:
    """Return the key, in the output bucket, of the song's failure."""
    return f"{song_key}/{FAILURE}"


def decode(text: bytes, type_: type[_T]) -> _T:
    """`text` as JSON of this type. Raises BadDocument, which names the member that is wrong."""
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadDocument(str(error)) from error


def convert(members: Any, type_: type[_T]) -> _T:
    """Parse JSON as this type. Raises BadDocument, which names the member that is wrong."""
    try:
        return msgspec.convert(members, type=type_)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadDocument(str(error)) from error
