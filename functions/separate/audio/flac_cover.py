"""Write a FLAC with a cover: libsndfile, which writes the rest of it, cannot.

The cover is a metadata block (RFC 9639, section 8.8) right behind the first one, STREAMINFO.
libsndfile writes through FlacWithCover, which leaves the bytes of that block out of its sight.
"""

import io
from typing import BinaryIO

from microdemucs.flac_metadata import PICTURE, metadata_block, picture_body

_BLOCK_AT = 4 + 4 + 34  # behind "fLaC" and STREAMINFO, which is never the last block


def picture_block(cover: bytes) -> bytes:
    """Return the metadata block of a JPEG or PNG."""
    return metadata_block(PICTURE, picture_body(cover))


class FlacWithCover(io.RawIOBase):
    """The file that libsndfile writes, without the `cover` that is in it."""

    def __init__(self, file: BinaryIO, cover: bytes) -> None:
        super().__init__()
        self._file = file
        self._block = picture_block(cover)
        self._at = self._size = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write all of `data` and return its length; 0 if the system refuses."""
        try:
            for start, piece in self._pieces(data):
                self._file.seek(start)
                self._file.write(piece)
        except OSError:  # libsndfile, written in C, takes no exception
            return 0
        self._at += len(data)
        self._size = max(self._size, self._at)
        return len(data)

    def _pieces(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return where in the file to write which bytes."""
        before = max(0, _BLOCK_AT - self._at)
        behind = max(self._at, _BLOCK_AT) + len(self._block)
        pieces = [(self._at, data[:before]), (behind, data[before:])]
        if self._size <= _BLOCK_AT < self._at + len(data):
            pieces.insert(1, (_BLOCK_AT, self._block))
        return [(start, piece) for start, piece in pieces if piece]
