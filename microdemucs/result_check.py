"""Read a result document and check it before anybody believes it. Pure.

Whoever may write to the output bucket can put a manifest there by hand. Readers remove, link and
serve the objects that it names, so it may name only objects beside its own song.
"""

import re
from typing import Any

from msgspec import UNSET

from microdemucs.covers import COVER_TYPES, MAX_COVER_BYTES, cover_keys
from microdemucs.keys import hash_in_key
from microdemucs.manifest import (
    FAILURE,
    MANIFEST,
    BadDocument,
    CoverEntry,
    Failure,
    Manifest,
    PeaksEntry,
    StemEntry,
)
from microdemucs.options import CONTENT_TYPES
from microdemucs.peaks import MAX_PEAKS_BYTES, PEAKS_TYPE, peaks_key
from microdemucs.problems import is_time

MAX_BYTES = 1 << 20
"""The largest document that is read. Real ones have some kilobytes."""

_MAX_DEPTH = 32
_IS_JOB_ID = re.compile("[0-9a-f]{32}").fullmatch
_IS_SHA256 = re.compile("[0-9a-f]{64}").fullmatch


def read_result(key: str, text: bytes) -> Manifest | Failure:
    """Read the manifest or failure that is stored at `key`.

    Raises BadDocument if it cannot be read, or says something that no job of its song says.
    """
    try:
        if len(text) > MAX_BYTES:
            raise BadDocument(f"it has more than {MAX_BYTES} bytes")
        song_key, _, name = key.rpartition("/")
        result = Failure.read(text) if name == FAILURE else Manifest.read(text)
        _check(result, song_key)
    except BadDocument as error:
        raise BadDocument(f"{key}: {error}") from error
    return result


def _check(result: Manifest | Failure, song_key: str) -> None:
    if not _IS_JOB_ID(result.job):
        raise BadDocument("job must be 32 hex digits - at `$.job`")
    if result.song.key != song_key:
        raise BadDocument("it is not beside its song - at `$.song.key`")
    for name in ("created", "started", "finished"):
        time = getattr(result, name)
        if not is_time(time) and (time or name == "finished"):
            raise BadDocument(f"{name} must be a time of RFC 3339 - at `$.{name}`")
    if isinstance(result, Failure):
        _check_depth("problem", result.problem)
    else:
        _check_stems(result, song_key)
    _check_depth("options", result.options)


def _check_stems(manifest: Manifest, song_key: str) -> None:
    sha256 = manifest.song.sha256
    if not _IS_SHA256(sha256):
        raise BadDocument("sha256 must be 64 hex digits - at `$.song.sha256`")
    if sha256 != (hash_in_key(song_key) or sha256):
        raise BadDocument("the song's key holds another SHA-256 - at `$.song.sha256`")
    for index, stem in enumerate(manifest.stems):
        if reason := _why_not(stem, song_key):
            raise BadDocument(f"{reason} - at `$.stems[{index}]`")
    if len({stem.key for stem in manifest.stems}) < len(manifest.stems):
        raise BadDocument("a stem is listed twice - at `$.stems`")
    if manifest.peaks is not UNSET and (reason := _why_not_peaks(manifest.peaks, song_key)):
        raise BadDocument(f"{reason} - at `$.peaks`")
    cover = manifest.song.cover
    if cover is not UNSET and (reason := _why_not_cover(cover, song_key)):
        raise BadDocument(f"{reason} - at `$.song.cover`")


def _why_not(stem: StemEntry, song_key: str) -> str:
    """Return why no job writes this entry; "" if it is right."""
    if stem.key != f"{song_key}/{stem.file}" or stem.file in (MANIFEST, FAILURE):
        return "the stem is not beside its song"
    suffix = stem.file.rpartition(".")[2]
    if CONTENT_TYPES.get(suffix) != stem.content_type:
        return f"the stem's content type is not that of a file .{suffix}"
    return "" if stem.size >= 0 else "the stem's size is negative"


def _why_not_peaks(peaks: PeaksEntry, song_key: str) -> str:
    """Return why no job writes this entry; "" if it is right."""
    if peaks.key != peaks_key(song_key):
        return "the peaks are not beside their song"
    if peaks.content_type != PEAKS_TYPE:
        return "the peaks have another content type"
    is_possible = 0 <= peaks.size <= MAX_PEAKS_BYTES and peaks.columns >= 0 < peaks.rate
    return "" if is_possible else "the peaks' size is impossible"


def _why_not_cover(cover: CoverEntry, song_key: str) -> str:
    """Return why no job writes this entry; "" if it is right."""
    if cover.key not in cover_keys(song_key):
        return "the cover is not beside its song"
    if cover.content_type != COVER_TYPES[cover.key.rpartition("/")[2]]:
        return "the cover's content type is not that of its name"
    return "" if 0 <= cover.size <= MAX_COVER_BYTES else "the cover's size is impossible"


def _check_depth(name: str, value: Any) -> None:
    """Raise BadDocument if JSON of any type is nested so deeply that it cannot be passed on."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        nested: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                nested += each.values()
            elif isinstance(each, list):
                nested += each
        level = nested
    if level:
        raise BadDocument(f"{name} is nested more than {_MAX_DEPTH} levels deep - at `$.{name}`")
