"""The reader returns the samples of the whole song, and keeps no more than its history."""

import io

import numpy as np
import pytest

from functions.separate.audio.normalization import Normalization
from functions.separate.audio.reader import LengthMismatch, Reader
from tests.integration.separate.sounds import Samples, music

MUSIC = music(10)
N = len(MUSIC)
NORMALIZED = ((MUSIC - np.float32(0.5)) / np.float32(3)).T
LEVEL = Normalization(mean=0.5, standard_deviation=3)


def reader(history: int, data: bytes = MUSIC.tobytes(), length: int = N) -> Reader:
    return Reader(io.BytesIO(data), length, LEVEL, history)


def expected(start: int, stop: int) -> Samples:
    around = np.pad(NORMALIZED, ((0, 0), (N, N)))
    return around[:, start + N : stop + N]


@pytest.mark.parametrize(
    ("history", "spans"),
    [
        (0, [(0, N)]),
        (0, [(0, 1), (1, 2), (2, N)]),
        (100, [(-50, 50), (0, 400), (300, 200_000), (199_900, 200_100), (N - 5, N + 7)]),
        (100, [(-90, -20), (N - 150_000, N), (N - 100, N + 100), (N + 5, N + 9)]),
        (N, [(0, N), (0, 10), (-3, 3)]),
    ],
    ids=["whole", "pieces", "overlapping", "skipping", "back"],
)
def test_the_samples_are_those_of_the_normalized_song_and_zero_outside(
    history: int, spans: list[tuple[int, int]]
) -> None:
    song = reader(history)
    for start, stop in spans:
        assert np.array_equal(song.read(start, stop), expected(start, stop))


def test_samples_before_the_history_are_an_error() -> None:
    song = reader(1000)
    song.read(0, 300_000)
    song.read(299_000, 300_001)
    with pytest.raises(ValueError, match="is the first kept"):
        song.read(150_000, 160_000)


def test_no_more_is_kept_than_the_history_and_the_last_read() -> None:
    song = reader(1000)
    for start in range(0, N - 2000, 2000):
        song.read(start, start + 2000)
        assert song._buffer.shape[1] <= 3000
        assert song._buffer.base is None


@pytest.mark.parametrize("length", [N - 1, N + 1], ids=["longer", "shorter"])
def test_a_stream_that_is_not_as_long_as_announced(length: int) -> None:
    with pytest.raises(LengthMismatch):
        reader(0, length=length).read(0, N + 1)
