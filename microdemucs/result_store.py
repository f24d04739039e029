"""manifest.json and failure.json in the output bucket: the one place that reads and writes them."""

import logging
from typing import Protocol, TypeVar

from microdemucs.bucket import Bucket
from microdemucs.manifest import (
    FAILURE,
    MANIFEST,
    BadDocument,
    Failure,
    Manifest,
    failure_key,
    manifest_key,
)
from microdemucs.problems import CONTENT_TYPE as PROBLEM_TYPE

log = logging.getLogger(__name__)

_MANIFEST_TYPE = "application/json"
_T = TypeVar("_T", covariant=True)


def read_manifest(stems: Bucket, song_key: str) -> Manifest | None:
    """Return the song's manifest, or None if none is readable. Raises RetryLater."""
    return _read(stems, manifest_key(song_key), Manifest)


def read_failure(stems: Bucket, song_key: str) -> Failure | None:
    """Return the song's failure, or None if none is readable. Raises RetryLater."""
    return _read(stems, failure_key(song_key), Failure)


def is_result_document(key: str) -> bool:
    """Whether an object of the output bucket is a manifest or a failure, by its key."""
    return key.endswith((f"/{MANIFEST}", f"/{FAILURE}"))


def read_result_document(stems: Bucket, key: str) -> Manifest | Failure | None:
    """Read the manifest or failure at `key`; None if there is none.

    Raises BadDocument if it cannot be read, and RetryLater.
    """
    text = stems.read(key)
    if text is None:
        return None
    try:
        return Failure.read(text) if key.endswith(f"/{FAILURE}") else Manifest.read(text)
    except BadDocument as error:
        raise BadDocument(f"{key}: {error}") from error


def write_manifest(stems: Bucket, manifest: Manifest) -> None:
    """Write the song's manifest. Raises RetryLater."""
    stems.write(manifest_key(manifest.song.key), manifest.write(), _MANIFEST_TYPE)


def write_failure(stems: Bucket, failure: Failure) -> None:
    """Write the song's failure. Raises RetryLater."""
    stems.write(failure_key(failure.song.key), failure.write(), PROBLEM_TYPE)


class _Readable(Protocol[_T]):
    def read(self, text: bytes, /) -> _T: ...


def _read(stems: Bucket, key: str, document: _Readable[_T]) -> _T | None:
    text = stems.read(key)
    if text is None:
        return None
    try:
        return document.read(text)
    except BadDocument as error:
        log.warning("document ignored: it cannot be read", extra={"key": key, "why": str(error)})
        return None
