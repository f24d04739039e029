import numpy as np
import pytest

from functions.separate.audio.overs import Level

QUIET = np.full((100_000, 2), 0.5, np.float32)


def level_of(*blocks: np.ndarray) -> Level:
    level = Level()
    for block in blocks:
        level.add(block)
    return level


def test_a_song_within_full_scale_is_not_over() -> None:
    level = level_of(QUIET, QUIET[:0])
    assert not level.is_over
    assert not level.is_rarely_over
    assert level.clipped is level.whole


def test_a_short_burst_is_rarely_over() -> None:
    burst = np.full((500, 2), 3, np.float32)
    level = level_of(QUIET, burst, QUIET)
    assert level.is_rarely_over
    clipped = np.concatenate([QUIET, burst.clip(-1, 1), QUIET]).mean(1)
    assert level.clipped.mean == pytest.approx(clipped.mean())
    assert level.clipped.standard_deviation == pytest.approx(clipped.std(ddof=1))
    assert level.whole.mean > level.clipped.mean


def test_a_loud_song_is_not_rarely_over() -> None:
    level = level_of(QUIET, QUIET * 2.5)
    assert level.is_over
    assert not level.is_rarely_over
