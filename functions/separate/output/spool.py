"""Keep stereo audio on disk, of any length.

The file has no name, so nothing is left of it when the process ends, however that happens. It is
read with pread and not mapped: mapped pages would count as memory of the process.
"""

import os
import tempfile

import numpy as np

from functions.separate.audio.interleave import interleave
from functions.separate.engine import Floats

SAMPLE_BYTES = 2 * 4
"""Of two channels of float32."""


class Spool:
    """Interleaved float32 stereo: append blocks [2, n], read any range of samples.

    `length` is in samples, `peak` is the largest magnitude.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
        self.length = 0
        self.peak = np.float32(0)

    def append(self, block: Floats) -> None:
        """Add [2, n] at the end. Raises OSError if the disk is full."""
        if not block.shape[-1]:
            return
        self.peak = max(self.peak, np.abs(block).max())
        view = interleave(block).reshape(-1).view(np.uint8).data
        while view:
            view = view[self._file.write(view) :]
        self.length += block.shape[-1]

    def read(self, start: int, stop: int) -> Floats:
        """Return [2, stop - start] of what was appended."""
        data = os.pread(self._file.fileno(), (stop - start) * SAMPLE_BYTES, start * SAMPLE_BYTES)
        return np.frombuffer(data, "<f4").reshape(-1, 2).T

    def close(self) -> None:
        """Free the disk space."""
        self._file.close()
