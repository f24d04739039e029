"""Measure the peaks of a stem: what its waveform is drawn from (docs/events.md, peaks.bin)."""

import numpy as np
import numpy.typing as npt

from functions.separate.engine import Floats
from microdemucs.peaks import HOP, VALUES

_FULL_SCALE = 127


class PeakMeter:
    """The columns of one stem. They do not depend on how the stem is cut into blocks."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self._values = bytearray()
        self._rest = np.zeros((2, 0), np.float32)  # samples of a column that is not full yet

    @property
    def columns(self) -> int:
        """How many columns are complete."""
        return len(self._values) // len(VALUES)

    def add(self, block: Floats) -> None:
        """Add the next [2, n] samples. `block` is not kept."""
        if missing := -self._rest.shape[-1] % HOP:
            self._rest = np.concatenate([self._rest, block[:, :missing]], axis=1)
            block = block[:, missing:]
            if self._rest.shape[-1] < HOP:
                return
            self._append(self._rest)
        stop = block.shape[-1] // HOP * HOP
        self._append(block[:, :stop])
        self._rest = block[:, stop:].copy()

    def end(self) -> None:
        """Complete the last column, which may have fewer samples than the others."""
        n = self._rest.shape[-1]
        if n:
            self._values += _values(self._rest[:, None, :]).tobytes()
        self._rest = self._rest[:, n:]

    def read(self, start: int, stop: int) -> npt.NDArray[np.int8]:
        """Return [stop - start, len(VALUES)] of the columns."""
        width = len(VALUES)
        data = bytes(self._values[start * width : stop * width])
        return np.frombuffer(data, np.int8).reshape(-1, width)

    def _append(self, samples: Floats) -> None:
        """Add columns that are full."""
        if samples.shape[-1]:
            self._values += _values(samples.reshape(2, -1, HOP)).tobytes()


def _values(columns: Floats) -> npt.NDArray[np.int8]:
    """Return [n, len(VALUES)] of [2, n, samples]."""
    lowest = columns.min(axis=(0, 2))
    highest = columns.max(axis=(0, 2))
    rms = np.sqrt(np.square(columns).mean(axis=2).mean(axis=0))
    scaled = np.rint(np.stack([lowest, highest, rms], axis=1) * _FULL_SCALE)
    limited: npt.NDArray[np.int8] = scaled.clip(-_FULL_SCALE, _FULL_SCALE).astype(np.int8)
    return limited
