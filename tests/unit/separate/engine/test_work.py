"""The work of a separation, estimated without a plan."""

import tracemalloc
from dataclasses import dataclass
from typing import Any

import pytest

from functions.separate.engine import SAMPLE_RATE, Floats, Model
from functions.separate.engine.overlap_add import Plan
from functions.separate.engine.work import estimate_work
from microdemucs.options import Options
from microdemucs.work_estimate import WorkEstimate, output_bytes


@dataclass
class Engine:
    """An engine with windows as long as those of htdemucs, or shorter; it separates nothing."""

    segment: float = 7.8
    concurrency: int = 1
    max_segment: float = 60

    def input_length(self, n: int, segment: Any) -> int:
        return n

    def separate(self, mix: Floats) -> Floats:
        raise AssertionError("nothing is separated")


def model(*engines: Engine) -> Model:
    return Model("silent", ("all",), engines, [[1.0] for _ in engines])


def plan_of(model_: Model, length: int, options: Options) -> Plan:
    return Plan.of(
        model_,
        length,
        overlap=options.overlap,
        segment=options.segment,
        shifts=options.shifts,
    )


@pytest.mark.parametrize("seconds", [0.1, 7.8, 60, 61.5])
@pytest.mark.parametrize(
    "options",
    [Options(), Options(overlap=0.9), Options(segment=1), Options(segment=20, overlap=0)],
    ids=["default", "overlap", "short segment", "long segment"],
)
@pytest.mark.parametrize("engines", [1, 4])
def test_the_work_is_that_of_the_plan(seconds: float, options: Options, engines: int) -> None:
    bag, length = model(*[Engine()] * engines), int(seconds * SAMPLE_RATE)
    plan = plan_of(bag, length, options)
    assert estimate_work(bag, 4, length, options) == WorkEstimate(
        passes=engines,
        windows=len(plan.windows),
        network_seconds=round(plan.network_seconds(), 3),
        output_bytes=output_bytes(4, length / SAMPLE_RATE, options),
    )


def test_shifted_passes_count_at_most_one_window_too_many() -> None:
    bag, length, options = model(Engine(), Engine()), 60 * SAMPLE_RATE, Options(shifts=3)
    plan, work = plan_of(bag, length, options), estimate_work(bag, 1, length, options)
    assert work.passes == 6
    assert len(plan.windows) <= work.windows <= len(plan.windows) + work.passes


def test_a_short_window_costs_as_much_as_the_network_processes() -> None:
    bag, length = model(Engine(segment=8)), 100 * SAMPLE_RATE
    assert estimate_work(bag, 1, length, Options(segment=1, overlap=0)).network_seconds == 800


def test_networks_with_other_segments_are_counted_on_their_own() -> None:
    bag, length = model(Engine(segment=5), Engine(segment=10)), 100 * SAMPLE_RATE
    work = estimate_work(bag, 1, length, Options(overlap=0))
    assert (work.windows, work.network_seconds) == (30, 200)


def test_counting_millions_of_windows_takes_no_memory() -> None:
    options = Options(shifts=20, overlap=0.9, segment=1)
    tracemalloc.start()
    try:
        work = estimate_work(model(Engine()), 1, 7200 * SAMPLE_RATE, options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert work.windows > 1_400_000
    assert peak < 100_000
