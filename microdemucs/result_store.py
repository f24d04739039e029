"""manifest.json and failure.json in the output bucket: the one place that reads and writes them."""

import logging

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
from microdemucs.result_check import MAX_BYTES, read_result

log = logging.getLogger(__name__)

MANIFEST_TYPE, FAILURE_TYPE = "application/json", PROBLEM_TYPE


def read_manifest(stems: Bucket, song_key: str) -> Manifest | None:
    """Return the song's manifest, or None if none is readable. Raises RetryLater."""
    found = _read(stems, manifest_key(song_key))
    return found if isinstance(found, Manifest) else None


def read_failure(stems: Bucket, song_key: str) -> Failure | None:
    """Return the song's failure, or None if none is readable. Raises RetryLater."""
    found = _read(stems, failure_key(song_key))
    return found if isinstance(found, Failure) else None


def is_result_document(key: str) -> bool:
    """Whether an object of the output bucket is a manifest or a failure, by its key."""
    return key.endswith((f"/{MANIFEST}", f"/{FAILURE}"))


def read_result_document(stems: Bucket, key: str) -> Manifest | Failure | None:
    """Read the manifest or failure at `key`; None if there is none.

    Raises BadDocument if it cannot be read or believed, and RetryLater.
    """
    text = stems.read(key, MAX_BYTES + 1)
    return None if text is None else read_result(key, text)


def write_manifest(stems: Bucket, manifest: Manifest) -> None:
    """Write the song's manifest. Raises RetryLater."""
    stems.write(manifest_key(manifest.song.key), manifest.write(), MANIFEST_TYPE)


def write_failure(stems: Bucket, failure: Failure) -> None:
    """Write the song's failure. Raises RetryLater."""
    stems.write(failure_key(failure.song.key), failure.write(), FAILURE_TYPE)


def _read(stems: Bucket, key: str) -> Manifest | Failure | None:
    try:
        return read_result_document(stems, key)
    except BadDocument as error:
        log.warning("document ignored: it cannot be read", extra={"key": key, "why": str(error)})
        return None
