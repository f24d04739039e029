"""Songs of any length as MP3, made from the sample of 43 s."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import lameenc
import numpy as np
import soundfile
from numpy.typing import NDArray

from testing.songs import SAMPLE

_KBIT_S = 192


def long_song(seconds: int, folder: Path) -> Path:
    """Return an MP3 of `seconds` in `folder`; encode it if needed."""
    path = folder / f"song-{seconds}s.mp3"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.writelines(_encode(seconds))
        partial.rename(path)
    return path


def _encode(seconds: int) -> Iterator[bytes]:
    sample, rate = soundfile.read(SAMPLE, dtype="float32", always_2d=True)
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(_KBIT_S)
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(2)
    encoder.set_quality(7)
    encoder.silence()
    remaining = seconds * rate
    for verse in _verses(sample):
        block = verse[:remaining]
        yield bytes(encoder.encode((block * 32767).astype("<i2").tobytes()))
        remaining -= len(block)
        if not remaining:
            break
    yield bytes(encoder.flush())


def _verses(sample: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield the sample again and again, each time at another level and with channels swapped."""
    peak = np.abs(sample).max()
    for verse in count():
        level = (0.95, 0.5, 0.8, 0.65)[verse % 4] / peak
        yield np.ascontiguousarray(sample[:, :: -1 if verse % 2 else 1] * level)
