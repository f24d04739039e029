"""How the windows of a song are divided into ranges."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from functions.separate.engine import SAMPLE_RATE, Floats, Model, Seconds
from functions.separate.engine.overlap_add import Plan
from functions.separate.ranges.partition import divide, result_key, result_prefix


@dataclass(frozen=True)
class Silent:
    """An engine that gives silence, with windows as long as the bundled model's."""

    segment: Seconds = 3.9
    max_segment: float = 3.9
    concurrency: int = 1

    def input_length(self, n: int, segment: Seconds) -> int:
        return n

    def separate(self, mix: Floats) -> Floats:
        return np.zeros((1, *mix.shape), np.float32)


MODEL = Model("silent", ("all",), (Silent(),), ((1.0,),))


def plan(seconds: float, segment: Seconds = 0) -> Plan:
    return Plan.of(MODEL, int(seconds * SAMPLE_RATE), segment=segment)


@pytest.mark.parametrize(
    ("seconds", "at_once", "sizes"),
    [
        (0, 1, [34]),
        (200, 1, [34]),
        (40, 1, [11, 11, 12]),
        (0, 2, [17, 17]),
        (40, 2, [11, 11, 12]),
        (0, 32, [8, 9, 8, 9]),  # none shorter than is worth a process
        (1, 1, [1] * 34),
    ],
)
def test_the_ranges_follow_from_the_longest_range_and_from_how_many_may_be_in_work(
    seconds: float, at_once: int, sizes: list[int]
) -> None:
    ranges = divide(plan(98), seconds, at_once)
    assert [range_.stop - range_.first for range_ in ranges] == sizes


def test_short_windows_make_shorter_ranges_because_each_costs_as_much_as_a_long_one() -> None:
    count, count_of_short = len(divide(plan(98), 40, 1)), len(divide(plan(98, segment=1.3), 40, 1))
    assert (count, count_of_short) == (3, 8)


def test_ranges_are_consecutive_and_numbered() -> None:
    ranges = divide(plan(98), 40, 1)
    assert [range_.number for range_ in ranges] == [0, 1, 2]
    assert [range_.of for range_ in ranges] == [3, 3, 3]
    assert [range_.first for range_ in ranges[1:]] == [range_.stop for range_ in ranges[:-1]]
    assert [len(plan(98).windows[range_.windows]) for range_ in ranges] == [11, 11, 12]


def test_a_message_identifies_a_range_by_number_count_and_plan() -> None:
    second = divide(plan(98), 40, 1)[1]
    assert (second.id.number, second.id.of, second.id.plan) == (1, 3, second.plan)


def test_the_same_plan_has_the_same_ranges() -> None:
    assert divide(plan(98), 40, 1) == divide(plan(98), 40, 1)


def test_ranges_of_another_model_or_division_have_other_results() -> None:
    one = divide(plan(30), 10, 1)[0]
    other_division = divide(plan(30), 20, 1)[0]
    other_model = divide(replace(plan(30), model=replace(MODEL, name="other")), 10, 1)[0]
    keys = {result_key("job", range_) for range_ in (one, other_division, other_model)}
    assert len(keys) == 3


def test_the_results_of_a_job_have_one_prefix() -> None:
    assert all(
        result_key("job", range_).startswith(result_prefix("job"))
        for range_ in divide(plan(98), 40, 1)
    )
