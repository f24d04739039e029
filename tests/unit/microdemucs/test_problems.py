from datetime import datetime

from microdemucs.problems import Problem, Rejected, RetryLater, now


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
