"""Read a song's normalized samples forward from a stream, and keep only the last of them."""

from typing import Protocol

import numpy as np

from functions.separate.audio.normalization import Normalization
from functions.separate.engine import Floats

_SAMPLE_BYTES = 2 * 4  # two channels of float32
_BLOCK = 1 << 17  # samples


class LengthMismatch(Exception):
    """The stream has more or fewer samples than were announced."""


class Samples(Protocol):
    """A stream of interleaved float32 stereo at 44.1 kHz."""

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, fewer at the end; all that is left if `size` is -1."""


class Reader:
    """Normalized samples of a song of `length` samples.

    `samples` is a stream of interleaved float32 stereo that begins at the song's sample `start`.
    The reader can go `history` samples back from the furthest sample it has read.
    """

    def __init__(
        self,
        samples: Samples,
        length: int,
        normalization: Normalization,
        history: int,
        start: int = 0,
    ) -> None:
        self._samples = samples
        self._length = length
        self._normalization = normalization
        self._history = history
        self._buffer = np.zeros((2, 0), np.float32)
        self._buffer_start = start

    def read(self, start: int, stop: int) -> Floats:
        """Return [2, stop - start], with zeros before and after the song.

        Raises LengthMismatch, and ValueError if `start` is further back than the history.
        """
        block = np.zeros((2, stop - start), np.float32)
        first, last = max(0, start), min(stop, self._length)
        if first < last:
            self._advance(first, last)
            if first < self._buffer_start:
                raise ValueError(
                    f"sample {first} was requested, but {self._buffer_start} is the first kept"
                )
            kept = self._buffer[:, first - self._buffer_start : last - self._buffer_start]
            block[:, first - start : last - start] = kept
        return block

    def _advance(self, first: int, last: int) -> None:
        """Read up to `last`, and drop what is before both `first` and the history."""
        end = self._buffer_start + self._buffer.shape[1]
        while end < last:
            fresh = self._next(min(_BLOCK, last - end))
            end += fresh.shape[1]
            oldest_needed = max(self._buffer_start, min(first, end - self._history))
            keep_from = min(end - fresh.shape[1], oldest_needed)
            kept = self._buffer[:, keep_from - self._buffer_start :]
            self._buffer = np.concatenate([kept, fresh], axis=1)
            self._buffer_start = keep_from
            if end == self._length and self._samples.read(1):
                raise LengthMismatch("more samples than were announced")

    def _next(self, n: int) -> Floats:
        data = self._samples.read(n * _SAMPLE_BYTES)
        if len(data) < n * _SAMPLE_BYTES:
            raise LengthMismatch("fewer samples than were announced")
        return self._normalization.normalize(np.frombuffer(data, "<f4").reshape(-1, 2).T)
