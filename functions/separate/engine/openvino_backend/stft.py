"""HTDemucs' short-time Fourier transform (STFT) and its inverse, for segments of one length.

The results equal those of demucs.htdemucs.HTDemucs._spec and _ispec (demucs 4.1): hop nfft / 4,
periodic Hann window, normalized, without the highest bin. Frames begin at -3/8 nfft, the edges are
reflected, and the inverse counts the windows of the frames outside, which demucs sets to 0.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from functions.separate.engine import Floats

Spectrum = npt.NDArray[np.complex64]
_THREADS = 2  # a song's first block waits for the transforms; more threads save little


class Transform:
    """The transform of `samples` samples with frames of `nfft`."""

    def __init__(self, samples: int, nfft: int) -> None:
        self.samples, self.nfft, self.hop = samples, nfft, nfft // 4
        self.frames = math.ceil(samples / self.hop)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(nfft) / nfft)
        self._analysis = (window / math.sqrt(nfft)).astype(np.float32)
        # demucs adds two frames of zeros on both sides; their windows count in these sums
        squares = (window**2).reshape(4, self.hop)
        sums = np.zeros((self.frames + 7, self.hop))
        for quarter in range(4):
            sums[quarter : quarter + self.frames + 4] += squares[quarter]
        inner_sums = sums[2 : 2 + self.frames + 3].reshape(-1)
        self._synthesis = (window * math.sqrt(nfft)).astype(np.float32).reshape(4, self.hop)
        self._edge = self.hop // 2 * 3
        self._gain = (1 / np.maximum(inner_sums, 1e-11)).astype(np.float32)
        self._threads = ThreadPoolExecutor(_THREADS)

    def forward(self, waves: Floats) -> Spectrum:
        """Transform [channels, samples] into [channels, frames, nfft / 2]."""
        spectra = np.empty((len(waves), self.frames, self.nfft // 2), np.complex64)
        list(self._threads.map(self._forward, waves, spectra))  # raises what a thread raised
        return spectra

    def inverse(self, spectra: Spectrum) -> Floats:
        """Transform [waves, frames, nfft / 2] into [waves, samples]."""
        waves = np.empty((len(spectra), self.samples), np.float32)
        list(self._threads.map(self._inverse, spectra, waves))  # raises what a thread raised
        return waves

    def _forward(self, wave: Floats, spectrum: Spectrum) -> None:
        after = self._edge + self.frames * self.hop - self.samples
        padded = np.pad(wave, (self._edge, after), mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.nfft)[:: self.hop]
        spectrum[:] = np.fft.rfft(frames[: self.frames] * self._analysis)[:, :-1]

    def _inverse(self, spectrum: Spectrum, wave: Floats) -> None:
        sums = np.zeros((self.frames + 3, self.hop), np.float32)
        frames = np.fft.irfft(spectrum, self.nfft).reshape(self.frames, 4, self.hop)
        frames *= self._synthesis
        for quarter in range(4):
            sums[quarter : quarter + self.frames] += frames[:, quarter]
        within = slice(self._edge, self._edge + self.samples)
        np.multiply(sums.reshape(-1)[within], self._gain[within], out=wave)
