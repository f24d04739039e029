"""The columns of a waveform, for sounds whose peaks are known."""

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from functions.separate.audio.peak_meter import PeakMeter
from microdemucs.peaks import HOP

Samples = npt.NDArray[np.float32]


def stereo(left: npt.ArrayLike, right: npt.ArrayLike) -> Samples:
    return np.array([left, right], np.float32)


def measure(samples: npt.NDArray[np.floating], *cuts: int) -> list[list[int]]:
    """Return the columns of [2, n] samples that come in blocks."""
    meter = PeakMeter()
    blocks = np.split(samples, cuts, axis=1)
    for number, block in enumerate(blocks, 1):
        meter.add(block.astype(np.float32), is_last=number == len(blocks))
    columns: list[list[int]] = meter.read(0, meter.columns).tolist()
    return columns


def test_a_full_scale_sine() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(10 * HOP) / 44_100)  # 40 periods per column
    assert measure(stereo(sine, sine)) == [[-127, 127, round(127 / math.sqrt(2))]] * 10


def test_a_sine_in_one_channel_has_half_the_energy() -> None:
    sine = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(HOP) / 44_100)
    assert measure(stereo(sine, 0 * sine)) == [[-102, 102, round(127 * 0.4)]]


def test_a_click_is_in_its_column_only() -> None:
    click = np.zeros(4 * HOP)
    click[2 * HOP] = 1.0  # the first sample of column 2
    click[2 * HOP - 1] = -0.5  # the last one of column 1
    rms = [round(127 * math.sqrt(energy / (2 * HOP))) for energy in (0.25, 1)]
    expected = [[0, 0, 0], [-64, 0, rms[0]], [0, 127, rms[1]], [0, 0, 0]]
    assert measure(stereo(0 * click, click)) == expected


def test_silence() -> None:
    assert measure(np.zeros((2, 2 * HOP), np.float32)) == [[0, 0, 0]] * 2


def test_a_constant_is_no_peak_of_its_own() -> None:
    assert measure(np.full((2, HOP), -0.5, np.float32)) == [[-64, -64, 64]]


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.5, 0), (1.5, 2), (2.5, 2), (0.499, 0), (0.501, 1), (63.5, 64), (126.4, 126), (127, 127)],
)
def test_values_are_rounded_with_halves_to_even(value: float, rounded: int) -> None:
    sample = np.float32(value / 127)
    assert sample * np.float32(127) == np.float32(value)
    [[lowest, highest, _]] = measure(stereo([sample] * HOP, [-sample] * HOP))
    assert (lowest, highest) == (-rounded, rounded)


def test_samples_above_full_scale_are_limited() -> None:
    assert measure(stereo([4.0] * HOP, [-1.5] * HOP)) == [[-127, 127, 127]]


def test_the_last_column_has_fewer_samples() -> None:
    samples = np.full((2, HOP + 1), 0.25, np.float32)
    samples[:, -1] = 1.0
    assert measure(samples) == [[32, 32, 32], [127, 127, 127]]


def test_a_column_that_is_not_full_does_not_count_before_the_end() -> None:
    meter = PeakMeter()
    meter.add(np.ones((2, 2 * HOP - 1), np.float32))
    assert meter.columns == 1
    meter.add(np.ones((2, 1), np.float32))
    assert meter.columns == 2


@pytest.mark.parametrize(
    "cuts", [[1], [HOP], [HOP - 1, HOP + 1], [5, 5, 5], range(0, 60_000, 700), range(60_000)[::7]]
)
def test_columns_do_not_depend_on_the_blocks(cuts: list[int]) -> None:
    samples = np.random.default_rng(1).standard_normal((2, 60_000)).astype(np.float32) / 4
    assert measure(samples, *cuts) == measure(samples)
    assert len(measure(samples)) == math.ceil(60_000 / HOP)


def test_it_can_start_again() -> None:
    meter = PeakMeter()
    meter.add(np.ones((2, HOP + 7), np.float32))
    meter.restart()
    meter.add(np.full((2, HOP), 0.5, np.float32), is_last=True)
    assert meter.read(0, meter.columns).tolist() == [[64, 64, 64]]


def test_a_block_is_not_kept() -> None:
    meter, block = PeakMeter(), np.zeros((2, 10), np.float32)
    meter.add(block)
    block[:] = 1
    meter.add(block[:, :0], is_last=True)
    assert meter.read(0, 1).tolist() == [[0, 0, 0]]


def test_the_last_columns_appear_at_once() -> None:
    meter = PeakMeter()
    meter.add(np.ones((2, HOP + 7), np.float32))
    seen = set()

    def look(*_: object) -> Any:
        seen.add(meter.columns)
        return look

    before = sys.gettrace()
    sys.settrace(look)  # as another thread could look between any two lines
    meter.add(np.ones((2, 3 * HOP), np.float32), is_last=True)
    sys.settrace(before)
    assert seen == {1, 5}
