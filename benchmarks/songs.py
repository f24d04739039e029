"""Songs of any length as MP3, made of the 43 s that are in samples/."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import lameenc
import numpy as np
import soundfile
from numpy.typing import NDArray

_SAMPLE = Path(__file__).parent.parent / "samples/black_mountain.mp3"
_KBIT_S = 192


def song(seconds: int, folder: Path) -> Path:
    """An MP3 in `folder`, made now or before."""
    path = folder / f"song-{seconds}s.mp3"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        coming = path.with_suffix(".coming")
        with coming.open("wb") as file:
            file.writelines(_encoded(seconds))
        coming.rename(path)
    return path


def _encoded(seconds: int) -> Iterator[bytes]:
    sample, rate = soundfile.read(_SAMPLE, dtype="float32", always_2d=True)
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(_KBIT_S)
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(2)
    encoder.set_quality(7)
    encoder.silence()
    left = seconds * rate
    for verse in _verses(sample):
        piece = verse[:left]
        yield bytes(encoder.encode((piece * 32767).astype("<i2").tobytes()))
        left -= len(piece)
        if not left:
            break
    yield bytes(encoder.flush())


def _verses(sample: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The sample again and again, each time at another level and with its sides swapped."""
    peak = np.abs(sample).max()
    for verse in count():
        level = (0.95, 0.5, 0.8, 0.65)[verse % 4] / peak
        yield np.ascontiguousarray(sample[:, :: -1 if verse % 2 else 1] * level)
