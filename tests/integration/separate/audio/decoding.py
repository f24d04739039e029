"""Decode a file in the real child process, and compare its samples with others."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from functions.separate.audio import decoder
from functions.separate.audio.decoder import DecodedSong
from functions.separate.engine import Floats
from microdemucs.problems import Rejected


@contextmanager
def opened(data: bytes, max_seconds: float = 60, **how: bool) -> Iterator[DecodedSong]:
    """The song that the file `data` holds; `how` are the options of decoder.decode."""
    with tempfile.TemporaryFile() as source:
        source.write(data)
        source.flush()
        source.seek(0)
        with decoder.decode(source, max_seconds, lambda share: None, **how) as song:
            yield song


def decoded(data: bytes, max_seconds: float = 60, **how: bool) -> tuple[DecodedSong, Floats]:
    """What was found out of a song, and its samples [n, 2]."""
    with opened(data, max_seconds, **how) as song:
        samples = np.frombuffer(song.samples.read(), "<f4").reshape(-1, 2)
    assert len(samples) == song.length
    return song, samples


def refusal(data: bytes, max_seconds: float = 60, **how: bool) -> Rejected:
    """Why the song is rejected."""
    with pytest.raises(Rejected) as refused:
        decoded(data, max_seconds, **how)
    return refused.value


def lag(samples: Floats, right: Floats) -> int:
    """How many samples `samples` come later than `right`, by cross-correlation."""
    size = 1 << (len(samples) + len(right)).bit_length()
    spectrum = np.fft.rfft(samples[:, 0], size) * np.conj(np.fft.rfft(right[:, 0], size))
    place = int(np.fft.irfft(spectrum, size).argmax())
    return place - size if place > size // 2 else place


def level(samples: Floats) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
