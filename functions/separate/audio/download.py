"""Download exactly the version of a song that its event names.

If the song has been replaced since, the new version is another job.
"""

import hashlib
from typing import BinaryIO

from functions.separate.on_progress import OnProgress
from microdemucs.bucket import Bucket, etag_of
from microdemucs.events import ObjectCreated
from microdemucs.problems import Rejected
from microdemucs.store import ObjectChanged

_BLOCK_BYTES = 1 << 20


def ensure_unchanged(songs: Bucket, song: ObjectCreated) -> None:
    """Raise ObjectChanged if `song` was removed or replaced since its event. Raises RetryLater."""
    found = songs.stat(song.key)
    if song.version:
        is_same = found.version_id == song.version
    else:
        is_same = etag_of(found) == song.etag.strip('"')
    if not is_same:
        raise ObjectChanged(song.key)


def fetch(
    songs: Bucket, song: ObjectCreated, file: BinaryIO, max_bytes: int, on_progress: OnProgress
) -> str:
    """Write the song to `file` and return the SHA-256 of its bytes, in hex.

    Raises ObjectChanged, Rejected (too-large), RetryLater.
    """
    ensure_unchanged(songs, song)
    digest, size = hashlib.sha256(), 0
    with songs.download(song.key, etag=song.etag, version=song.version) as download:
        _check_size(download.size, max_bytes)
        for block in download.chunks(_BLOCK_BYTES):
            size += len(block)
            _check_size(size, max_bytes)
            digest.update(block)
            file.write(block)
            on_progress(size / max(size, download.size))
    file.flush()
    file.seek(0)
    return digest.hexdigest()


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Rejected(
            "too-large",
            "The song is too large",
            f"it has more than {max_bytes} bytes, which is the most that is accepted",
        )
