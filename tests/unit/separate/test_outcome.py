"""How a run of a job can end."""

from functions.separate.outcome import JobRejected
from microdemucs.jobs import JobState
from microdemucs.problems import Cancelled, Rejected


def test_a_rejected_job_has_failed() -> None:
    assert JobRejected(Rejected("empty", "The song is empty")).state == JobState.FAILED


def test_a_job_that_somebody_cancelled_is_cancelled() -> None:
    assert JobRejected(Cancelled("2026-11-22T17:25:45.706Z")).state == JobState.CANCELLED
