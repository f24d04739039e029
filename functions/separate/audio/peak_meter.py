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

    def add(self, block: Floats, *, is_last: bool = False) -> None:
        """Add the next [2, n] samples. `block` is not kept.

        The last column is complete after the last block, though it may have fewer samples.
        """
        samples = np.concatenate([self._rest, block], axis=1)
        stop = samples.shape[-1] // HOP * HOP
        self._rest = samples[:, stop:].copy()
        columns = _values(samples[:, :stop].reshape(2, -1, HOP)).tobytes()
        if is_last and self._rest.size:
            columns += _values(self._rest[:, None, :]).tobytes()
            self._rest = self._rest[:, :0]
        # at once: other threads read how many there are, and all means that the stem is complete
        self._values += columns

    def read(self, start: int, stop: int) -> npt.NDArray[np.int8]:
        """Return [stop - start, len(VALUES)] of the columns."""
        width = len(VALUES)
        data = bytes(self._values[start * width : stop * width])
        return np.frombuffer(data, np.int8).reshape(-1, width)


def _values(columns: Floats) -> npt.NDArray[np.int8]:
    """Return [n, len(VALUES)] of [2, n, samples]."""
    lowest = columns.min(axis=(0, 2))
    highest = columns.max(axis=(0, 2))
    rms = np.sqrt(np.square(columns).mean(axis=2).mean(axis=0))
    scaled = np.rint(np.stack([lowest, highest, rms], axis=1) * _FULL_SCALE)
    limited: npt.NDArray[np.int8] = scaled.clip(-_FULL_SCALE, _FULL_SCALE).astype(np.int8)
    return limited
