from datetime import datetime

import pytest

from microdemucs.problems import Cancelled, Problem, Rejected, RetryLater, is_after, is_time, now


def test_a_problem_has_the_members_of_rfc_9457_in_order() -> None:
    problem = Problem(404, "unknown-job", "There is no such job", "its id is 'x'", id="x")
    assert list(problem.body().items()) == [
        ("type", "urn:micro-demucs:problem:unknown-job"),
        ("title", "There is no such job"),
        ("status", 404),
        ("detail", "its id is 'x'"),
        ("id", "x"),
    ]


def test_a_detail_that_is_empty_is_left_out() -> None:
    assert "detail" not in Problem(404, "unknown-job", "There is no such job").body()


def test_a_rejection_is_final() -> None:
    assert Rejected("empty", "The song is empty").status == 422


def test_a_temporary_error_is_503_and_a_busy_process_429() -> None:
    assert RetryLater("bus-away", "The bus is away").status == 503
    assert RetryLater("busy", "Another song is in work", busy=True).status == 429


def test_the_time_is_utc_to_the_millisecond() -> None:
    assert now().endswith("Z")
    assert datetime.fromisoformat(now()).microsecond % 1000 == 0


def test_a_cancelled_job_says_when_it_was_cancelled() -> None:
    body = Cancelled("2026-11-25T18:00:00.000Z").body()
    assert body["type"] == "urn:micro-demucs:problem:cancelled"
    assert body["cancelled_at"] == "2026-11-25T18:00:00.000Z"


@pytest.mark.parametrize(
    ("time", "other", "expected"),
    [
        ("2026-11-25T18:00:00.001Z", "2026-11-25T18:00:00Z", True),
        ("2026-11-25T18:00:00Z", "2026-11-25T18:00:00.000Z", False),
        ("2026-11-25T18:30:00+01:00", "2026-11-25T18:00:00Z", False),
        ("2026-11-25T18:30:00", "2026-11-25T18:00:00Z", True),
        ("", "2026-11-25T18:00:00Z", False),
        ("2026-11-25T18:00:00Z", "", False),
        ("2026-11-25T18:00:00Z", "1", False),
    ],
)
def test_times_are_compared(time: str, other: str, expected: bool) -> None:
    assert is_after(time, other) == expected


@pytest.mark.parametrize("text", ["2026-11-22T17:25:45.706Z", "2026-11-22T17:25:45+02:00"])
def test_a_time_of_rfc_3339(text: str) -> None:
    assert is_time(text)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-11-22 17:25:45Z", "2026-13-22T17:25:45Z", "2026-11-22T17:25:45"]
)
def test_what_is_no_time_of_rfc_3339(text: str) -> None:
    assert not is_time(text)
