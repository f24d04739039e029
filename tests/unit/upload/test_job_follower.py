import math
import time

import pytest

from functions.upload import queue_forecast
from functions.upload.job_follower import JobFollower
from functions.upload.jobs_view import JobsView
from functions.upload.queue_forecast import QueueForecast
from microdemucs.bus import Entry
from microdemucs.jobs import JobRecord, JobState
from microdemucs.work_estimate import WorkEstimate

HASH = "ab" * 32
UPLOAD = "cd" * 16


@pytest.fixture(autouse=True)
def _forecasts_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast that took long would be followed by a pause."""
    monkeypatch.setattr(queue_forecast, "_QUICK_S", math.inf)


@pytest.fixture
def view() -> JobsView:
    return JobsView()


def entry(id_: str, revision: int, key: str = "", **members: object) -> Entry:
    record = JobRecord(id=id_, bucket="songs", key=key or id_, etag="e", **members)  # type: ignore[arg-type]
    return Entry(id_, record.write(), revision)


def follow(view: JobsView, *names: str, last_event_id: int = 0) -> JobFollower:
    return JobFollower(view, QueueForecast(view), frozenset(names), last_event_id)


def follow_all(view: JobsView, last_event_id: int = 0) -> JobFollower:
    return JobFollower(view, QueueForecast(view), None, last_event_id)


def read(follower: JobFollower) -> list[tuple[int, str, str]]:
    """The events so far: id, job, and its state if it is new."""
    return [
        (event.id, event.job.id, event.job.state if event.is_new_state else "")
        for event in follower.next_events(0)
    ]


def test_the_first_events_are_the_present_states_in_the_order_of_their_revisions(
    view: JobsView,
) -> None:
    view.apply(entry("a", 3, state=JobState.DONE))
    view.apply(entry("b", 2))
    view.apply(entry("other", 4))
    assert read(follow(view, "a", "b", "unknown")) == [(2, "b", "waiting"), (3, "a", "done")]


def test_only_followed_jobs_have_events(view: JobsView) -> None:
    follower = follow(view, "a", "b")
    assert read(follower) == []
    view.apply(entry("a", 1))
    view.apply(entry("other", 2))
    view.apply(entry("b", 3, state=JobState.RUNNING))
    assert read(follower) == [(1, "a", "waiting"), (3, "b", "running")]


def test_a_change_within_a_state_is_progress(view: JobsView) -> None:
    view.apply(entry("a", 1, state=JobState.RUNNING))
    follower = follow(view, "a")
    assert read(follower) == [(1, "a", "running")]
    view.apply(entry("a", 2, state=JobState.RUNNING, progress=0.5))
    assert read(follower) == [(2, "a", "")]


@pytest.mark.parametrize(("name", "key"), [(HASH, f"{HASH}.mp3"), (UPLOAD, f"form/{UPLOAD}/a.mp3")])
def test_a_song_is_followed_by_its_hash_or_upload_before_it_has_a_job(
    view: JobsView, name: str, key: str
) -> None:
    follower = follow(view, name)
    assert read(follower) == []
    assert not follower.has_ended()
    view.apply(entry("a", 1, key))
    assert read(follower) == [(1, "a", "waiting")]


def test_a_job_with_two_names_has_its_events_once(view: JobsView) -> None:
    view.apply(entry("a", 1, f"{HASH}.mp3"))
    follower = follow(view, "a", HASH)
    assert read(follower) == [(1, "a", "waiting")]
    view.apply(entry("a", 2, f"{HASH}.mp3", state=JobState.RUNNING))
    assert read(follower) == [(2, "a", "running")]


def test_a_song_that_is_sent_again_is_followed_to_its_new_job(view: JobsView) -> None:
    view.apply(entry("a", 1, f"{HASH}.mp3"))
    follower = follow(view, HASH)
    read(follower)
    view.apply(entry("a", 2, f"{HASH}.mp3", state=JobState.SUPERSEDED, updated="1"))
    view.apply(entry("b", 3, f"{HASH}.mp3", updated="2"))
    assert read(follower) == [(3, "b", "waiting")]


def test_a_stream_ends_once_every_named_job_has_finished(view: JobsView) -> None:
    view.apply(entry("a", 1, state=JobState.DONE))
    view.apply(entry("b", 2, state=JobState.RUNNING))
    follower = follow(view, "a", "b")
    read(follower)
    assert not follower.has_ended()
    view.apply(entry("b", 3, state=JobState.FAILED))
    assert not follower.has_ended()  # its last event is not sent yet
    read(follower)
    assert follower.has_ended()


def test_a_client_that_reconnects_gets_only_what_has_changed(view: JobsView) -> None:
    view.apply(entry("a", 1, state=JobState.DONE))
    view.apply(entry("b", 2))
    view.apply(entry("c", 3, state=JobState.RUNNING))
    follower = follow(view, "a", "b", "c", last_event_id=2)
    assert read(follower) == [(3, "c", "running"), (3, "b", "")]
    view.apply(entry("b", 4, state=JobState.CANCELLED))
    assert read(follower) == [(4, "b", "cancelled")]


def test_a_client_that_reconnects_gets_the_position_of_each_waiting_job(view: JobsView) -> None:
    view.apply(entry("a", 1))
    follower = follow(view, "a", last_event_id=1)
    assert read(follower) == [(1, "a", "")]
    assert read(follower) == []


def test_a_client_that_has_the_last_event_of_all_its_jobs_is_at_the_end(view: JobsView) -> None:
    view.apply(entry("a", 1, state=JobState.DONE))
    view.apply(entry("b", 2, state=JobState.DONE))
    follower = follow(view, "a", "b", last_event_id=2)
    assert read(follower) == []
    assert follower.has_ended()


def test_an_event_id_beyond_the_bus_counts_as_none(view: JobsView) -> None:
    view.apply(entry("a", 1, state=JobState.DONE))  # the bus has begun again
    assert read(follow(view, "a", last_event_id=900)) == [(1, "a", "done")]


def test_an_own_write_is_sent_at_once_but_acknowledges_nothing_before_it(view: JobsView) -> None:
    view.apply(entry("a", 1))
    view.apply(entry("b", 2))
    follower = follow(view, "a", "b")
    read(follower)
    view.apply_own_write(entry("b", 4, state=JobState.CANCELLED))
    assert read(follower) == [(2, "b", "cancelled")]
    view.apply(entry("a", 3, state=JobState.RUNNING))
    assert read(follower) == [(3, "a", "running")]
    view.apply(entry("b", 4, state=JobState.CANCELLED))
    assert read(follower) == []


def test_entries_that_the_bus_sends_again_have_no_events(view: JobsView) -> None:
    view.apply(entry("a", 1))
    changed = entry("b", 2, updated="1")
    view.apply(changed)
    follower = follow(view, "a", "b")
    read(follower)
    view.apply(changed)
    assert read(follower) == []


def test_without_names_all_unfinished_jobs_are_followed(view: JobsView) -> None:
    view.apply(entry("a", 1, state=JobState.DONE))
    view.apply(entry("b", 2))
    follower = follow_all(view)
    assert read(follower) == [(2, "b", "waiting")]
    view.apply(entry("b", 3, state=JobState.FAILED))
    view.apply(entry("c", 4))
    assert read(follower) == [(3, "b", "failed"), (4, "c", "waiting")]
    assert not follower.has_ended()


def test_without_names_a_client_that_reconnects_gets_every_change(view: JobsView) -> None:
    view.apply(entry("a", 1))
    view.apply(entry("b", 3, state=JobState.DONE))
    assert read(follow_all(view, last_event_id=2)) == [(3, "b", "done"), (3, "a", "")]


def test_a_waiting_job_that_moves_up_has_an_event(view: JobsView) -> None:
    view.apply(entry("a", 1, created="1", submitter="s"))
    view.apply(entry("b", 2, created="2", submitter="s"))
    view.apply(entry("c", 3, created="3", submitter="s"))
    follower = follow(view, "c")
    assert read(follower) == [(3, "c", "waiting")]
    view.apply(entry("a", 4, created="1", submitter="s", state=JobState.CANCELLED))
    assert read(follower) == [(3, "c", "")]
    view.apply(entry("b", 5, created="2", submitter="s", updated="9"))
    assert read(follower) == []


def test_a_waiting_job_whose_end_becomes_known_has_an_event(view: JobsView) -> None:
    view.apply(entry("a", 1, "a.mp3", size=100))
    follower = follow(view, "a")
    assert read(follower) == [(1, "a", "waiting")]
    view.apply(done("b", 2, "2026-01-01T00:01:00Z"))
    assert read(follower) == [(1, "a", "")]
    view.apply(done("c", 3, "2026-01-01T00:01:02Z"))
    assert read(follower) == []  # nearly the same end
    view.apply(done("c", 4, "2026-01-01T01:00:00Z"))
    view.apply(done("d", 5, "2026-01-01T01:00:00Z"))
    assert read(follower) == [(1, "a", "")]


def test_a_position_that_is_not_known_yet_is_sent_later(
    view: JobsView, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = QueueForecast(view)
    follower = JobFollower(view, queue, frozenset("a"), 0)
    monkeypatch.setattr(queue, "_pause", 1e9)
    monkeypatch.setattr(queue, "_made_at", time.monotonic())
    view.apply(entry("a", 1))
    assert read(follower) == [(1, "a", "waiting")]
    monkeypatch.setattr(queue, "_pause", 0.0)
    assert read(follower) == [(1, "a", "")]


def done(id_: str, revision: int, finished: str) -> Entry:
    """The record of a job that separated a minute of audio since midnight."""
    return entry(
        id_,
        revision,
        f"{id_}.mp3",
        size=100,
        state=JobState.DONE,
        started="2026-01-01T00:00:00Z",
        finished=finished,
        song={"seconds": 60.0},
        estimate=WorkEstimate(passes=1, windows=8, network_seconds=62.4, output_bytes=1),
    )
