"""The song's bytes, as the event meant them: another version is another job."""

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from minio import Minio

from microdemucs.events import ObjectCreated
from microdemucs.problems import Rejected
from microdemucs.store import ObjectChanged, map_store_errors

_BLOCK = 1 << 20


def ensure_current(store: Minio, song: ObjectCreated) -> None:
    """Raise ObjectChanged where `song` is gone or another one is at its key. Raises RetryLater."""
    with map_store_errors():
        there = store.stat_object(song.bucket, song.key)
    if song.version:
        same = there.version_id == song.version
    else:
        same = (there.etag or "").strip('"') == song.etag.strip('"')
    if not same:
        raise ObjectChanged(song.key)


def fetch(
    store: Minio,
    song: ObjectCreated,
    into: BinaryIO,
    max_bytes: int,
    step: Callable[[float], None],
) -> str:
    """Write the song to `into`, and give the SHA-256 of its bytes, in hex.

    Raises ObjectChanged, Rejected (too-large), RetryLater.
    """
    ensure_current(store, song)
    with map_store_errors():
        answer = store.get_object(
            song.bucket,
            song.key,
            version_id=song.version or None,
            request_headers={} if song.version else {"If-Match": f'"{song.etag}"'},
        )
    digest, size = hashlib.sha256(), 0
    expected = int(answer.headers.get("Content-Length", 0))
    try:
        _limit(expected, max_bytes)
        blocks = answer.stream(_BLOCK)
        while True:
            with map_store_errors():
                block = next(blocks, b"")
            if not block:
                break
            size += len(block)
            _limit(size, max_bytes)
            digest.update(block)
            into.write(block)
            step(size / max(size, expected))
    finally:
        answer.close()
        answer.release_conn()
    into.flush()
    into.seek(0)
    return digest.hexdigest()


def _limit(size: int, most: int) -> None:
    if size > most:
        raise Rejected("too-large", "The song is too large", f"more than {most} bytes")
