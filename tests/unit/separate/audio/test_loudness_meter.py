"""The loudness of signals whose loudness is known: those of EBU Tech 3341, stereo."""

import numpy as np
import pytest

from functions.separate.audio.loudness_meter import LoudnessMeter

RATE = 44_100


def sine(seconds: float, decibels: float, hertz: float = 997) -> bytes:
    """Return a sine in both channels, whose peak is so many dB of full scale."""
    t = np.arange(round(seconds * RATE)) / RATE
    signal = 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * t)
    return np.stack([signal, signal], axis=1).astype("<f4").tobytes()


def measure(samples: bytes, block: int = 1 << 20) -> float | None:
    meter = LoudnessMeter()
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block])
    return meter.end()


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(20, -23)], -23.0),
        ([(20, -33)], -33.0),
        ([(10, -36), (60, -23), (10, -36)], -23.0),
        ([(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)], -23.0),
        ([(20, -26), (20.1, -20), (20, -26)], -23.0),
    ],
    ids=["case 1", "case 2", "case 3", "case 4", "case 5"],
)
def test_the_cases_of_ebu_tech_3341(levels: list[tuple[float, float]], expected: float) -> None:
    samples = b"".join(sine(*level) for level in levels)
    assert measure(samples) == pytest.approx(expected, abs=0.1)


def test_one_channel_alone_is_3_lu_quieter_than_both() -> None:
    both = np.frombuffer(sine(20, -23), "<f4").reshape(-1, 2)
    left = (both * np.array([1, 0], np.float32)).astype("<f4").tobytes()
    assert measure(left) == pytest.approx(-26.0, abs=0.1)


def test_low_frequencies_count_less() -> None:
    loudness = measure(sine(20, -23, hertz=25))
    assert loudness is not None
    assert loudness < -30


@pytest.mark.parametrize("block", [8, 8 * 441, 8 * 100_000])
def test_the_loudness_does_not_depend_on_the_blocks(block: int) -> None:
    samples = sine(1, -20)
    assert measure(samples, block) == measure(samples)


@pytest.mark.parametrize("samples", [b"", sine(0.3, -23), bytes(8 * RATE), sine(5, -90)], ids=len)
def test_what_is_silent_or_too_short_has_no_loudness(samples: bytes) -> None:
    assert measure(samples) is None


@pytest.mark.parametrize("seconds", [0.41, 3.41, 3.4567])
def test_a_song_may_have_any_length(seconds: float) -> None:
    assert measure(sine(seconds, -23)) == pytest.approx(-23.0, abs=0.2)
