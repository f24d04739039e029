"""The mix as the networks want it, read forward from a stream: only its last part is kept."""

from typing import IO

import numpy as np

from functions.separate.engine import Floats

_SAMPLE = 2 * 4  # bytes: two channels of float32
_BLOCK = 1 << 17  # samples


class LengthMismatch(Exception):
    """The stream has not as many samples as were announced."""


class Reader:
    """Normalised samples of a song of `length` samples, from a stream of interleaved float32 stereo
    that begins at its sample `start`.

    What lies more than `history` samples before the furthest that was read is forgotten.
    """

    def __init__(
        self,
        samples: IO[bytes],
        length: int,
        mean: float,
        deviation: float,
        history: int,
        start: int = 0,
    ) -> None:
        self._samples = samples
        self._length = length
        self._mean = np.float32(mean)
        self._deviation = np.float32(deviation)
        self._history = history
        self._begin = start  # of what is held
        self._held = np.zeros((2, 0), np.float32)

    def read(self, start: int, stop: int) -> Floats:
        """[2, stop - start], 0 outside of the song. Raises LengthMismatch.

        Raises ValueError where that is further back than what is kept.
        """
        block = np.zeros((2, stop - start), np.float32)
        first, last = max(0, start), min(stop, self._length)
        if first < last:
            self._advance(first, last)
            if first < self._begin:
                raise ValueError(f"sample {first} is asked for, {self._begin} is the first kept")
            held = self._held[:, first - self._begin : last - self._begin]
            block[:, first - start : last - start] = held
        return block

    def _advance(self, first: int, last: int) -> None:
        """Have all up to `last`, and keep what is after `first` or in the history."""
        end = self._begin + self._held.shape[1]
        while end < last:
            fresh = self._next(min(_BLOCK, last - end))
            end += fresh.shape[1]
            keep = min(end - fresh.shape[1], max(self._begin, min(first, end - self._history)))
            self._held = np.concatenate([self._held[:, keep - self._begin :], fresh], axis=1)
            self._begin = keep
            if end == self._length and self._samples.read(1):
                raise LengthMismatch("more samples than were announced")

    def _next(self, n: int) -> Floats:
        data = self._samples.read(n * _SAMPLE)
        if len(data) < n * _SAMPLE:
            raise LengthMismatch("fewer samples than were announced")
        fresh: Floats = np.frombuffer(data, "<f4").reshape(-1, 2).T - self._mean
        fresh /= self._deviation
        return fresh
