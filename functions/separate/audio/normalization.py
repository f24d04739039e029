"""Normalize a song as demucs does (demucs.api.Separator.separate_tensor)."""

import math
from typing import NamedTuple

import numpy as np

from functions.separate.engine import Floats

EPSILON = 1e-8
"""What demucs adds to the standard deviation, so that silence is not divided by zero."""


class Normalization(NamedTuple):
    """normalized = (sample - mean) / (standard_deviation + EPSILON).

    Both values are those of the mean of the two channels, over the whole song.
    """

    mean: float
    standard_deviation: float

    @property
    def divisor(self) -> float:
        """The standard deviation plus EPSILON; never 0."""
        return self.standard_deviation + EPSILON

    def normalize(self, samples: Floats) -> Floats:
        """Return normalized samples, in float32."""
        normalized: Floats = samples - np.float32(self.mean)
        normalized /= np.float32(self.divisor)
        return normalized

    def denormalize(self, estimate: Floats) -> Floats:
        """Bring an estimate back to the song's own level, in place."""
        estimate *= np.float32(self.divisor)
        estimate += np.float32(self.mean)
        return estimate


class RunningStatistics:
    """Mean and standard deviation of the channels' mean, updated block by block.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances" (1979).
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self._squares = 0.0  # the sum of squared distances from the mean

    def add(self, samples: Floats) -> None:
        """Add [n, 2] samples."""
        if not len(samples):
            return
        mono = np.add(samples[:, 0], samples[:, 1], dtype=np.float64)
        mono /= 2
        mean = float(mono.mean())
        mono -= mean
        n = self.n + len(mono)
        distance = mean - self.mean
        self._squares += float(mono @ mono) + distance**2 * self.n * len(mono) / n
        self.mean += distance * len(mono) / n
        self.n = n

    @property
    def standard_deviation(self) -> float:
        """The standard deviation of a sample (divided by n - 1), as torch.std; 0 if n is 1."""
        return math.sqrt(self._squares / (self.n - 1)) if self.n > 1 else 0.0
