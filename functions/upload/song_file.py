"""A song that arrives: written to disk, counted, hashed, and limited, chunk by chunk."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from functions.upload.upload_space import UploadSpace
from microdemucs.problems import Problem, RetryLater


class SongFile:
    """Writes the bytes of a song to `file`. `max_bytes` is the largest accepted song.

    They take `space`, if it is limited, until the file is closed.
    """

    def __init__(self, file: BinaryIO, max_bytes: int, space: UploadSpace | None = None) -> None:
        self.file = file
        self.max_bytes = max_bytes
        self.size = 0
        self._space = space or UploadSpace(float("inf"))
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in hex."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Append `data` and return its length. Raises Problem (413), RetryLater."""
        self.ensure_fits(self.size + len(data))
        self._space.take(len(data))
        self.size += len(data)
        self._hash.update(data)
        with _map_disk_errors():
            self.file.write(data)
        return len(data)

    def close(self) -> None:
        """Close the file, whose bytes are gone then."""
        with suppress(OSError):  # the disk is full: what is still buffered is not needed any more
            self.file.close()
        self._space.give_back(self.size)

    def seek(self, offset: int) -> int:
        """Move to `offset` bytes from the start. Raises RetryLater."""
        with _map_disk_errors():  # this writes what is buffered
            return self.file.seek(offset)

    def ensure_fits(self, size: int) -> None:
        """Raise Problem (413) if a song of `size` bytes is too large."""
        if size > self.max_bytes:
            raise Problem(
                413,
                "too-large",
                "The song is too large",
                f"at most {self.max_bytes} bytes are accepted",
                limit=self.max_bytes,
            )


@contextmanager
def open_song_file(max_bytes: int, space: UploadSpace | None = None) -> Iterator[SongFile]:
    """Open an empty SongFile; it is closed when the context exits. Raises RetryLater."""
    with _map_disk_errors():
        file = tempfile.TemporaryFile(prefix="song-")  # noqa: SIM115 (closed below)
    song = SongFile(file, max_bytes, space)
    try:
        yield song
    finally:
        song.close()


@contextmanager
def _map_disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # the disk is full or cannot be written
        raise RetryLater(
            "no-room", "There is no disk space for the song", "try again later", after=30
        ) from error
