"""A song is measured as it is read, whoever reads it, and only if it is read to its end."""

import io
import threading

import numpy as np
import pytest

from functions.separate.song_loudness import MeasuredSamples

RATE = 44_100
LENGTH = 30 * RATE
NOISE = (
    np.random.default_rng(0).standard_normal((LENGTH, 2)).astype("<f4") * np.float32(0.1)
).tobytes()


def read_to_end(samples: MeasuredSamples, size: int = 1 << 20) -> bytes:
    return b"".join(iter(lambda: samples.read(size), b""))


@pytest.fixture
def expected() -> float:
    with MeasuredSamples(io.BytesIO(NOISE), LENGTH) as samples:
        samples.read_all()
        loudness = samples.finish()
    assert loudness is not None
    assert -20 < loudness < -10
    return loudness


@pytest.mark.parametrize("starts_after", [0, 1, 5, 99])
def test_the_loudness_does_not_depend_on_when_it_starts(expected: float, starts_after: int) -> None:
    with MeasuredSamples(io.BytesIO(NOISE), LENGTH) as samples:
        data = b"".join(samples.read(1 << 18) for _ in range(starts_after))
        samples.start()
        data += read_to_end(samples)
        assert samples.finish() == expected
    assert data == NOISE


def test_it_is_rounded_to_a_tenth(expected: float) -> None:
    assert expected == round(expected, 1)


def test_starting_twice_changes_nothing(expected: float) -> None:
    with MeasuredSamples(io.BytesIO(NOISE), LENGTH) as samples:
        samples.read(1 << 20)
        samples.start()
        samples.start()
        read_to_end(samples)
        assert samples.finish() == expected


@pytest.mark.parametrize("length", [LENGTH - 1, LENGTH + 1])
def test_a_song_of_another_length_has_no_loudness(length: int) -> None:
    with MeasuredSamples(io.BytesIO(NOISE), length) as samples:
        samples.read_all()
        assert samples.finish() is None


def test_a_song_that_is_not_read_to_its_end_has_no_loudness() -> None:
    with MeasuredSamples(io.BytesIO(NOISE), LENGTH) as samples:
        samples.read(1 << 20)
        assert samples.finish() is None


def test_a_song_that_nobody_reads_has_no_loudness() -> None:
    with MeasuredSamples(io.BytesIO(NOISE), LENGTH) as samples:
        assert samples.finish() is None


def test_a_failure_of_the_filter_leaves_the_song_without_a_loudness() -> None:
    with MeasuredSamples(io.BytesIO(NOISE + NOISE), LENGTH) as samples:
        samples.read(len(NOISE))
        assert samples.finish() is not None  # the filter is at its end, and takes no more
        samples.read(1 << 20)
        assert samples.finish() is None


def test_an_error_of_the_samples_is_raised() -> None:
    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise OSError("gone")

    with MeasuredSamples(Broken(), LENGTH) as samples:
        samples.read_all()
        with pytest.raises(OSError, match="gone"):
            samples.finish()


class Endless:
    """A stream that never ends, and tells when it was first read."""

    def __init__(self) -> None:
        self.is_read = threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        self.is_read.set()
        return bytes(size)


def test_leaving_the_context_ends_the_reading() -> None:
    stream = Endless()
    with MeasuredSamples(stream, LENGTH) as samples:
        samples.read_all()
        assert stream.is_read.wait(20)
