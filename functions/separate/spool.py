"""Stereo audio on disk: as long as it likes, while memory holds the part that is worked on.

The file has no name, so nothing is left of it when the process ends, however that happens. It is
read with pread, not mapped: mapped pages would count as the process's memory.
"""

import os
import tempfile
from types import TracebackType
from typing import Self

import numpy as np

from functions.separate.engine import Floats

_SAMPLE = 2 * 4  # bytes: two channels of float32


class Spool:
    """Interleaved float32 stereo: append blocks [2, n], read any part.

    `length` is in samples, `peak` the largest magnitude.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
        self.length = 0
        self.peak = np.float32(0)

    def append(self, block: Floats) -> None:
        """Add [2, n] at the end. Raises OSError where the disk is full."""
        if block.shape[-1]:
            self.peak = max(self.peak, np.abs(block).max())
            self.append_bytes(np.ascontiguousarray(block.T).tobytes())

    def append_bytes(self, data: bytes) -> None:
        """Add whole interleaved samples at the end; `peak` does not follow."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.length += len(data) // _SAMPLE

    def read(self, start: int, stop: int) -> Floats:
        """[2, stop - start], 0 before the beginning and after the end."""
        block = np.zeros((2, stop - start), np.float32)
        first, last = max(0, start), min(self.length, stop)
        if first < last:
            data = os.pread(self._file.fileno(), (last - first) * _SAMPLE, first * _SAMPLE)
            block[:, first - start : last - start] = np.frombuffer(data, "<f4").reshape(-1, 2).T
        return block

    def close(self) -> None:
        """Free the disk."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
