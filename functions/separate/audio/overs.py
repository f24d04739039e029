"""Measure a song's level, and decide whether its samples above full scale are its own.

A lossy codec exceeds full scale a little all over a loud song, which is left as it is, as demucs
does. In a few places of a song that is not loud, or in a damaged one, it is clipped, as players do.
"""

import copy

import numpy as np

from functions.separate.audio.normalization import RunningStatistics
from functions.separate.engine import Floats

_SPAN = 1024  # samples
_RARE = 0.05  # the share of spans that exceed full scale


class Level:
    """The level of [n, 2] samples as they are, and clipped at full scale."""

    def __init__(self) -> None:
        self.whole = RunningStatistics()
        self._clipped: RunningStatistics | None = None
        self._spans = 0

    @property
    def clipped(self) -> RunningStatistics:
        """The level if the samples are clipped at full scale."""
        return self._clipped or self.whole

    @property
    def is_over(self) -> bool:
        """Whether any sample exceeds full scale."""
        return self._spans > 0

    @property
    def is_rarely_over(self) -> bool:
        """Whether samples exceed full scale, but only in a few places."""
        return 0 < self._spans * _SPAN < _RARE * self.whole.n

    def add(self, block: Floats) -> None:
        """Add [n, 2] samples."""
        is_over = bool(len(block)) and max(block.max(), -block.min()) > 1
        if is_over:
            self._clipped = self._clipped or copy.copy(self.whole)
            spans = np.zeros(len(block) // _SPAN + 1, bool)
            spans[np.flatnonzero((np.abs(block) > 1).any(axis=1)) // _SPAN] = True
            self._spans += int(spans.sum())
        if self._clipped:
            self._clipped.add(block.clip(-1, 1) if is_over else block)
        self.whole.add(block)
