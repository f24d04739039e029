"""The order in which the API shows unfinished jobs."""

from functions.upload.queue_order import queue_order
from microdemucs.jobs import JobRecord, JobState


def job(id_: str, state: JobState = JobState.WAITING, started: str = "") -> JobRecord:
    """Return a job of the submitter that its id begins with, created in the order of the digit."""
    return JobRecord(
        id=id_,
        bucket="songs",
        key=id_,
        etag="e",
        submitter=id_[0],
        state=state,
        created=f"2026-01-01T00:00:0{id_[1]}Z",
        started=started,
    )


def order(*jobs: JobRecord) -> list[str]:
    return [found.id for found in queue_order(jobs)]


def test_running_jobs_come_first_in_the_order_they_started() -> None:
    running = [
        job("a2", JobState.RUNNING, "2026-01-01T01:00:00Z"),
        job("a1", JobState.RUNNING, "2026-01-01T02:00:00Z"),
    ]
    assert order(job("b0"), running[1], running[0]) == ["a2", "a1", "b0"]


def test_finished_jobs_are_not_shown() -> None:
    finished = set(JobState) - {JobState.WAITING, JobState.RUNNING}
    assert order(*(job("a1", state) for state in finished)) == []


def test_the_jobs_of_one_submitter_are_shown_oldest_first() -> None:
    assert order(job("a2"), job("a3"), job("a1")) == ["a1", "a2", "a3"]


def test_submitters_take_turns() -> None:
    assert order(*map(job, ("a1", "a2", "a3", "b4", "b5"))) == ["a1", "b4", "a2", "b5", "a3"]


def test_a_submitter_whose_job_runs_comes_after_one_who_waits() -> None:
    running = job("a1", JobState.RUNNING, "2026-01-01T01:00:00Z")
    assert order(running, job("a2"), job("b3")) == ["a1", "b3", "a2"]


def test_of_two_submitters_the_one_whose_last_job_is_longer_ago_comes_first() -> None:
    earlier = job("b0", JobState.DONE, "2026-01-01T01:00:00Z")
    later = job("a0", JobState.DONE, "2026-01-01T02:00:00Z")
    assert order(earlier, later, job("a1"), job("b2")) == ["b2", "a1"]
