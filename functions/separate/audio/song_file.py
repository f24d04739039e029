"""A song's file as FFmpeg should see it: only stretches of it, with some bytes replaced."""

import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import BinaryIO


class SongFile(io.RawIOBase):
    """Reads `stretches` [start, stop) of a seekable file as one file.

    `patches` (offset in the original file → bytes) replace what is there.
    """

    def __init__(
        self,
        file: BinaryIO,
        stretches: Sequence[tuple[int, int]],
        patches: Mapping[int, bytes] | None = None,
    ) -> None:
        super().__init__()
        self._file = file
        self._stretches = list(stretches)
        self._patches = dict(patches or {})
        self._starts = [0]
        for start, stop in self._stretches:
            self._starts.append(self._starts[-1] + stop - start)
        self._at = 0
        self.furthest = 0
        """The largest position that was read."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self._starts[-1]

    def readable(self) -> bool:
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
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from one stretch; b"" at the end."""
        if self._at >= self.size:
            return b""
        index = bisect_right(self._starts, self._at) - 1
        start, stop = self._stretches[index]
        begin = start + self._at - self._starts[index]
        size = stop - begin if size < 0 else min(size, stop - begin)
        self._file.seek(begin)
        data = self._patched(begin, self._file.read(size))
        self._at += len(data)
        self.furthest = max(self.furthest, self._at)
        return data

    def _patched(self, begin: int, data: bytes) -> bytes:
        for place, new in self._patches.items():
            first, last = max(place, begin), min(place + len(new), begin + len(data))
            if first < last:
                inner = new[first - place : last - place]
                data = data[: first - begin] + inner + data[last - begin :]
        return data
