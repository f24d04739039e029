import math

import pytest

from functions.upload import queue_forecast
from functions.upload.jobs_view import JobsView
from functions.upload.past_jobs import PastJobs
from functions.upload.queue_forecast import (
    NOTHING,
    Expected,
    QueueForecast,
    make_forecast,
    seconds_left,
)
from microdemucs.bus import Entry
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.work_estimate import WorkEstimate

NOON = "2026-01-01T12:00:00.000Z"
ESTIMATE = WorkEstimate(passes=1, windows=8, network_seconds=62.4, output_bytes=1)


def job(id_: str, **members: object) -> JobRecord:
    """A job of the submitter that its id begins with; its song has 60 s."""
    known = {"key": "a.mp3", "submitter": id_[0], "created": id_, "size": 6000, "updated": NOON}
    return JobRecord(id=id_, bucket="songs", etag="e", **(known | members))  # type: ignore[arg-type]


def running(id_: str, started: str, progress: float, **members: object) -> JobRecord:
    return job(
        id_, state=JobState.RUNNING, started=f"2026-01-01T{started}Z", progress=progress, **members
    )


DONE = job(
    "z0",
    state=JobState.DONE,
    model="m",
    started="2026-01-01T11:00:00.000Z",
    finished="2026-01-01T11:00:20.000Z",
    song={"seconds": 60.0},
    estimate=ESTIMATE,
)
"""So a song of 60 s takes 20 s."""


def waiting(*jobs: JobRecord) -> dict[str, Expected]:
    return make_forecast(list(jobs), NOON).waiting


def test_positions_are_those_of_the_waiting_jobs_in_turns() -> None:
    jobs = [job("a1"), job("a2"), job("b3"), running("c1", "11:00:00", 0.0), DONE]
    positions = {id_: expected.position for id_, expected in waiting(*jobs).items()}
    assert positions == {"a1": 1, "b3": 2, "a2": 3}


def test_a_waiting_job_ends_after_all_before_it() -> None:
    left = [expected.seconds_left for expected in waiting(DONE, job("a1"), job("a2")).values()]
    assert left == [20.0, 40.0]


def test_songs_are_separated_as_many_at_a_time_as_run_now() -> None:
    jobs = [
        running("a1", "11:59:50", 0.5),  # 10 s more
        running("a2", "11:59:30", 0.5),  # 30 s more
        *(job(id_) for id_ in ("a3", "a4", "a5")),
    ]
    assert waiting(DONE, *jobs) == {
        "a3": Expected(1, 30.0),
        "a4": Expected(2, 50.0),
        "a5": Expected(3, 50.0),
    }


def test_behind_a_job_of_unknown_length_no_end_is_known() -> None:
    forecast = waiting(DONE, job("a1"), job("a2", options={"shifts": 9}), job("a3"))
    assert [expected.seconds_left for expected in forecast.values()] == [20.0, None, None]


def test_without_past_jobs_only_positions_are_known() -> None:
    assert waiting(job("a1")) == {"a1": Expected(1, None)}


@pytest.mark.parametrize(
    ("record", "left"),
    [
        (running("a", "11:59:30", 0.75), 10.0),
        (running("a", "11:59:30", 0.75, updated="2026-01-01T11:59:57.000Z"), 6.0),
        (running("a", "11:59:59", 0.01, song={"seconds": 60.0}), 19.8),
        (running("a", "11:00:00", 1.0), 0.0),
    ],
    ids=["own-pace", "since-then-time-has-passed", "past-jobs", "over"],
)
def test_what_a_running_job_still_takes(record: JobRecord, left: float) -> None:
    assert seconds_left(record, PastJobs([DONE]), NOON) == left


def test_without_past_jobs_the_machines_own_estimate_counts() -> None:
    measured = WorkEstimate(passes=1, windows=8, network_seconds=1.0, output_bytes=1, seconds=8.0)
    record = running("a", "11:59:59", 0.0, estimate=measured)
    assert seconds_left(record, PastJobs([]), NOON) == 8.0
    assert seconds_left(running("a", "11:59:59", 0.0), PastJobs([]), NOON) is None


def test_nothing_is_expected_of_a_job_that_has_finished() -> None:
    forecast = make_forecast([], NOON)
    assert {forecast.of(job("a", state=state)) for state in FINISHED} == {NOTHING}


def test_the_forecast_changes_with_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_forecast, "_QUICK_S", math.inf)
    view = JobsView()
    queue = QueueForecast(view)
    first, second = job("a1"), job("a2")
    for revision, record in enumerate((first, second), 1):
        view.apply(Entry(record.id, record.write(), revision))
    assert queue.current().of(second).position == 2
    assert queue.current() is queue.current()
    view.apply(Entry(first.id, job("a1", state=JobState.CANCELLED).write(), 3))
    assert queue.current().of(second).position == 1


def test_a_forecast_that_took_long_is_followed_by_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_forecast, "_QUICK_S", -1.0)
    monkeypatch.setattr(queue_forecast, "_PAUSE_FACTOR", 1e9)
    view = JobsView()
    queue = QueueForecast(view)
    first, second = job("a1"), job("a2")
    view.apply(Entry(first.id, first.write(), 1))
    before = queue.current()
    view.apply(Entry(second.id, second.write(), 2))
    assert queue.current() is before
