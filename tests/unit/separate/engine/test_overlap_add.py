"""Plans, weights, blocks and ranges, with engines that only scale their input."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from functions.separate.engine import SAMPLE_RATE, Floats, Model, overlap_add
from functions.separate.engine.overlap_add import (
    MAX_SHIFT,
    Block,
    Plan,
    Window,
    join_ranges,
    separate_windows,
)

SEGMENT_S = 0.01
SEGMENT = 441
STRIDE = 330


@dataclass
class Scale:
    """An engine whose sources are its input times `gains`."""

    gains: tuple[float, ...] = (1.0, -2.0)
    segment: float = SEGMENT_S
    concurrency: int = 1
    context: int = 0
    max_segment: float = float("inf")
    threads: set[str] = field(default_factory=set)

    def input_length(self, n: int, segment: Any) -> int:
        return n + 2 * self.context

    def separate(self, mix: Floats) -> Floats:
        self.threads.add(threading.current_thread().name)
        return np.stack([np.float32(gain) * mix for gain in self.gains])


def model(*engines: Scale, weights: list[list[float]] | None = None) -> Model:
    engines = engines or (Scale(),)
    rows = weights or [[1.0, 1.0] for _ in engines]
    return Model("scale", ("same", "doubled"), engines, rows)


def noise(length: int) -> Floats:
    return np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)


def reader(mix: Floats) -> Callable[[int, int], Floats]:
    """Return a function that reads `mix`, with zeros outside of it."""

    def read(start: int, stop: int) -> Floats:
        outside = (max(0, -start), max(0, stop - max(mix.shape[1], start)))
        return np.pad(mix[:, max(0, start) : max(0, stop)], ((0, 0), outside))

    return read


def blocks(plan: Plan, mix: Floats, windows: slice = slice(None)) -> list[Block]:
    return list(separate_windows(plan, reader(mix), lambda share: None, windows))


def whole(plan: Plan, mix: Floats) -> Floats:
    return np.concatenate([block.samples for block in blocks(plan, mix)], -1)


def joined(plan: Plan, mix: Floats, *cuts: int) -> Floats:
    """Separate the ranges between these numbers of windows by themselves, and join them."""
    ranges = [slice(*edges) for edges in pairwise([0, *cuts, len(plan.windows)])]
    results = [blocks(plan, mix, windows) for windows in ranges]
    return np.concatenate(list(join_ranges(plan, ranges, results)), -1)


def test_a_plan_has_a_window_at_each_stride() -> None:
    plan = Plan.of(model(), 2 * STRIDE + 1)
    assert plan.windows == [
        Window(start=0, engine=0, position=0, size=SEGMENT, stride=STRIDE),
        Window(start=STRIDE, engine=0, position=1, size=SEGMENT, stride=STRIDE),
        Window(start=2 * STRIDE, engine=0, position=2, size=SEGMENT, stride=STRIDE),
    ]


def test_the_options_overlap_and_segment_set_size_and_stride() -> None:
    [window] = Plan.of(model(), 10, overlap=0.5, segment=1).windows
    assert (window.size, window.stride) == (SAMPLE_RATE, SAMPLE_RATE // 2)


def test_windows_of_all_engines_are_ordered_by_their_start() -> None:
    plan = Plan.of(model(Scale(), Scale(segment=0.007)), 5 * STRIDE)
    starts = [window.start for window in plan.windows]
    assert starts == sorted(starts)
    assert {window.engine for window in plan.windows} == {0, 1}


def test_a_shifted_pass_begins_at_most_half_a_second_before_the_song() -> None:
    plan = Plan.of(model(), 1000, shifts=20, segment=1)
    firsts = [window.start for window in plan.windows if window.position == 0]
    assert len(firsts) == 20
    assert -MAX_SHIFT <= min(firsts) <= max(firsts) <= 0


def test_the_seed_decides_the_shifts() -> None:
    plans = [Plan.of(model(), 1000, shifts=2, seed=seed) for seed in ("a", "a", "b")]
    assert plans[0].windows == plans[1].windows
    assert plans[0].windows != plans[2].windows


def test_a_window_is_a_list_of_numbers_in_json() -> None:
    """The ids of range plans are digests of this text."""
    assert json.dumps(Plan.of(model(), 1).windows) == f"[[0, 0, 0, {SEGMENT}, {STRIDE}]]"


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 0), (1, SEGMENT), (2, STRIDE + SEGMENT), (3, 3 * STRIDE + 1)]
)
def test_reach_is_the_end_of_the_furthest_window_within_the_song(count: int, expected: int) -> None:
    assert Plan.of(model(), 3 * STRIDE + 1).reach(count) == expected


def test_history_is_a_shift_and_the_longest_input() -> None:
    plan = Plan.of(model(Scale(), Scale(context=50)), 1000)
    assert plan.history() == MAX_SHIFT + SEGMENT + 100


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9])
def test_the_weights_of_all_windows_at_a_sample_add_up_to_one(overlap: float) -> None:
    plan = Plan.of(model(), 10 * SEGMENT, overlap=overlap)
    sums = np.zeros(11 * SEGMENT)
    for window in plan.windows:
        sums[window.start : window.start + window.size] += overlap_add._weights_of(window)
    assert np.allclose(sums[: 10 * SEGMENT - SEGMENT], 1, atol=1e-6)


@pytest.mark.parametrize(
    "length",
    [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 5 * STRIDE + 7],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"overlap": 0.0},
        {"overlap": 0.8},
        {"segment": 0.004},
        {"shifts": 1, "seed": "one"},
        {"shifts": 3, "seed": "three"},
    ],
)
def test_a_song_of_any_length_comes_back_whole(length: int, options: dict[str, Any]) -> None:
    mix = noise(length)
    separated = whole(Plan.of(model(), length, **options), mix)
    assert separated.shape == (2, 2, length)
    assert np.allclose(separated, [mix, -2 * mix], atol=1e-5)


def test_engines_are_averaged_with_the_weights_of_each_source() -> None:
    ensemble = model(Scale((1, 1)), Scale((5, 5), segment=0.007), weights=[[1, 3], [1, 1]])
    mix = noise(3 * SEGMENT)
    separated = whole(Plan.of(ensemble, mix.shape[1]), mix)
    assert np.allclose(separated, [3 * mix, 2 * mix], atol=1e-5)


def test_a_window_is_read_with_the_song_around_it() -> None:
    reads: list[tuple[int, int]] = []
    mix = noise(STRIDE)

    def read(start: int, stop: int) -> Floats:
        reads.append((start, stop))
        return reader(mix)(start, stop)

    plan = Plan.of(model(Scale(context=50)), STRIDE)
    separated = [*separate_windows(plan, read, lambda share: None)]
    assert reads == [(-50, STRIDE + 50)]
    assert np.array_equal(separated[0].samples[0], mix)


def test_a_block_is_complete_as_soon_as_no_later_window_reaches_it() -> None:
    mix = noise(3 * STRIDE + 5)
    found = blocks(Plan.of(model(), mix.shape[1]), mix)
    assert [block.start for block in found] == [0, STRIDE, 2 * STRIDE, 3 * STRIDE]
    assert [block.samples.shape[-1] for block in found] == [STRIDE, STRIDE, STRIDE, 5]


def test_a_block_stays_as_it_is_when_the_next_ones_come() -> None:
    mix = noise(4 * STRIDE)
    plan = Plan.of(model(), mix.shape[1])
    separation = separate_windows(plan, reader(mix), lambda share: None)
    first = next(separation)
    before = first.samples.copy()
    for _ in separation:
        assert np.array_equal(first.samples, before)


def test_a_range_begins_with_the_samples_that_earlier_windows_share() -> None:
    mix = noise(4 * STRIDE)
    found = blocks(Plan.of(model(), mix.shape[1]), mix, slice(2, 4))
    assert found[0].start == 2 * STRIDE
    assert found[0].samples.shape[-1] == SEGMENT - STRIDE
    assert found[1].start == 2 * STRIDE + found[0].samples.shape[-1]


@pytest.mark.parametrize(
    ("cuts", "length", "options"),
    [
        ([2], 8 * STRIDE + 5, {}),
        ([1, 2, 3], 8 * STRIDE + 5, {}),
        ([2], 8 * STRIDE + 5, {"overlap": 0.0}),
        ([2, 4, 5], 8 * STRIDE + 5, {"overlap": 0.75}),
        ([1, 2, 3, 4, 5, 6], 8 * STRIDE + 5, {"overlap": 0.9}),
        ([1, 3], 3 * SAMPLE_RATE, {"segment": 1, "shifts": 2}),
        ([3], 3 * SAMPLE_RATE, {"segment": 1.1, "shifts": 3, "overlap": 0.6}),
    ],
)
def test_joined_ranges_equal_the_whole_bit_for_bit(
    cuts: list[int], length: int, options: dict[str, Any]
) -> None:
    mix = noise(length)
    ensemble = model(Scale(), Scale((0.3, 0.7), segment=0.007), weights=[[1, 3], [2, 1]])
    for separated_by in (model(), ensemble):
        plan = Plan.of(separated_by, mix.shape[1], **options)
        assert np.array_equal(joined(plan, mix, *cuts), whole(plan, mix))


def test_joined_ranges_come_as_soon_as_they_are_final() -> None:
    mix = noise(6 * STRIDE)
    plan = Plan.of(model(), mix.shape[1])
    ranges = [slice(0, 3), slice(3, 6)]
    begun: list[slice] = []

    def results() -> Any:
        for windows in ranges:
            begun.append(windows)
            yield blocks(plan, mix, windows)

    first = next(join_ranges(plan, ranges, results()))
    assert first.shape[-1] == STRIDE
    assert begun == ranges[:1]


def test_progress_is_the_share_of_finished_windows() -> None:
    shares: list[float] = []
    mix = noise(4 * STRIDE)
    [*separate_windows(Plan.of(model(), mix.shape[1]), reader(mix), shares.append)]
    assert shares == [0, 0.25, 0.5, 0.75]


def test_an_exception_from_on_progress_ends_the_work() -> None:
    shares: list[float] = []

    def on_progress(share: float) -> None:
        shares.append(share)
        if share >= 0.5:
            raise InterruptedError

    mix = noise(4 * STRIDE)
    with pytest.raises(InterruptedError):
        list(separate_windows(Plan.of(model(), 4 * STRIDE), reader(mix), on_progress))
    assert shares == [0, 0.25, 0.5]


def test_windows_in_several_threads_give_the_same() -> None:
    mix = noise(9 * STRIDE)
    engine = Scale(concurrency=3)
    separated = whole(Plan.of(model(engine), mix.shape[1]), mix)
    assert np.array_equal(separated, whole(Plan.of(model(), mix.shape[1]), mix))
    assert threading.current_thread().name not in engine.threads


def test_read_and_on_progress_are_called_in_the_callers_thread() -> None:
    threads: set[str] = set()
    mix = noise(9 * STRIDE)

    def read(start: int, stop: int) -> Floats:
        threads.add(threading.current_thread().name)
        return reader(mix)(start, stop)

    def on_progress(share: float) -> None:
        threads.add(threading.current_thread().name)

    [*separate_windows(Plan.of(model(Scale(concurrency=3)), mix.shape[1]), read, on_progress)]
    assert threads == {threading.current_thread().name}
