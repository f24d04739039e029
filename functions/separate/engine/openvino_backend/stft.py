"""HTDemucs' short-time Fourier transform and its inverse, for windows of one length.

What demucs.htdemucs.HTDemucs._spec and _ispec (4.1) give: hop nfft / 4, periodic Hann window,
normalised, the highest bin left out; frames begin at -3/8 nfft, the edges are reflected, and the
inverse counts the windows of the frames outside that demucs sets to 0.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from functions.separate.engine import Floats

Spectrum = npt.NDArray[np.complex64]
_THREADS = 2  # a first block waits for them, and more have nothing to do for long


class Transform:
    """For `samples` samples and windows of `nfft`."""

    def __init__(self, samples: int, nfft: int) -> None:
        self.samples, self.nfft, self.hop = samples, nfft, nfft // 4
        self.frames = math.ceil(samples / self.hop)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(nfft) / nfft)
        self._analysis = (window / math.sqrt(nfft)).astype(np.float32)
        # a frame further on both sides, and one whose beginning alone counts
        squares = (window**2).reshape(4, self.hop)
        sums = np.zeros((self.frames + 7, self.hop))
        for quarter in range(4):
            sums[quarter : quarter + self.frames + 4] += squares[quarter]
        within = sums[2 : 2 + self.frames + 3].reshape(-1)
        self._synthesis = (window * math.sqrt(nfft)).astype(np.float32).reshape(4, self.hop)
        self._edge = self.hop // 2 * 3
        self._level = (1 / np.maximum(within, 1e-11)).astype(np.float32)
        self._threads = ThreadPoolExecutor(_THREADS)

    def forward(self, waves: Floats) -> Spectrum:
        """[channels, samples] → [channels, frames, nfft / 2]."""
        result = np.empty((len(waves), self.frames, self.nfft // 2), np.complex64)
        for _ in self._threads.map(self._forward, waves, result):
            """Raise what one of them raised."""
        return result

    def inverse(self, spectra: Spectrum) -> Floats:
        """[waves, frames, nfft / 2] → [waves, samples]."""
        result = np.empty((len(spectra), self.samples), np.float32)
        for _ in self._threads.map(self._inverse, spectra, result):
            """Raise what one of them raised."""
        return result

    def _forward(self, wave: Floats, result: Spectrum) -> None:
        after = self._edge + self.frames * self.hop - self.samples
        padded = np.pad(wave, (self._edge, after), mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.nfft)[:: self.hop]
        result[:] = np.fft.rfft(frames[: self.frames] * self._analysis)[:, :-1]

    def _inverse(self, spectrum: Spectrum, wave: Floats) -> None:
        sums = np.zeros((self.frames + 3, self.hop), np.float32)
        frames = np.fft.irfft(spectrum, self.nfft).reshape(self.frames, 4, self.hop)
        frames *= self._synthesis
        for quarter in range(4):
            sums[quarter : quarter + self.frames] += frames[:, quarter]
        part = slice(self._edge, self._edge + self.samples)
        np.multiply(sums.reshape(-1)[part], self._level[part], out=wave)
