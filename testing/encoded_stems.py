"""Stems with known samples, encoded as the separate function does, and files decoded again."""

import io
import tempfile
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from functions.separate.audio.encoders import make_encoder
from microdemucs.options import Options

Samples = NDArray[np.float32]
RATE = 44_100


def make_samples(seed: int, length: int) -> Samples:
    """Return [2, length] samples of noise without high tones, at most 0.15, whose level changes."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((2, length + 63))
    smooth = np.stack([np.convolve(side, np.hanning(64), "valid") for side in noise])
    level = 0.15 * (1 + np.sin(np.arange(length) / RATE * (3 + seed))) / 2
    scaled: Samples = (smooth / np.abs(smooth).max() * level).astype(np.float32)
    return scaled


def encode(samples: Samples, **options: Any) -> bytes:
    """Return the stem with these samples and options."""
    with tempfile.TemporaryFile() as file:
        encoder = make_encoder(Options(**options), file, samples.shape[1], 7)
        encoder.write(samples)
        encoder.close()
        file.seek(0)
        return file.read()


def decode(data: bytes, track: int = 0) -> Samples:
    """Return the [2, n] samples of an audio track at 44.1 kHz."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
    with av.open(io.BytesIO(data), "r") as container:
        frames = [
            block.to_ndarray()
            for frame in container.decode(audio=track)
            for block in resampler.resample(frame)
        ]
    return np.concatenate(frames, axis=1)


def lag(samples: Samples, reference: Samples) -> int:
    """Return by how many samples `samples` are late, by their cross-correlation."""
    size = min(samples.shape[1], reference.shape[1])
    spectra = [np.fft.rfft(side[0, :size], 2 * size) for side in (samples, reference)]
    correlation = np.fft.irfft(spectra[0] * np.conj(spectra[1]))
    best = int(np.argmax(correlation))
    return best if best < size else best - 2 * size


def signal_to_noise(samples: Samples, reference: Samples) -> float:
    """Return how much weaker the difference to the reference is, in dB."""
    noise = float(((samples - reference) ** 2).sum())
    return 10 * float(np.log10(float((reference**2).sum()) / max(noise, 1e-12)))
