"""The level by which demucs normalises a song (demucs.api.Separator.separate_tensor)."""

import math

import numpy as np

from functions.separate.engine import Floats


class RunningStatistics:
    """Mean and deviation of the channels' mean, block by block (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, samples: Floats) -> None:
        """[n, 2] more."""
        if not len(samples):
            return
        mono = np.add(samples[:, 0], samples[:, 1], dtype=np.float64)
        mono /= 2
        mean = float(mono.mean())
        mono -= mean
        n = self.n + len(mono)
        apart = mean - self.mean
        self._squares += float(mono @ mono) + apart**2 * self.n * len(mono) / n
        self.mean += apart * len(mono) / n
        self.n = n

    @property
    def deviation(self) -> float:
        """Of a sample (n - 1), as torch.std; 0 for a single one."""
        return math.sqrt(self._squares / (self.n - 1)) if self.n > 1 else 0.0
