import threading
from typing import Any

import pytest

from functions.upload.jobs_view import JobsView, song_alias, song_hash
from microdemucs.bus import Entry
from microdemucs.jobs import JobRecord, JobState

HASH = "ab" * 32
UPLOAD = "cd" * 16


def record(id_: str, key: str = "songs/a.mp3", **members: object) -> JobRecord:
    return JobRecord(id=id_, bucket="songs", key=key, etag="e", **members)  # type: ignore[arg-type]


def entry(job: JobRecord, revision: int) -> Entry:
    return Entry(job.id, job.write(), revision)


@pytest.fixture
def view() -> JobsView:
    return JobsView()


def test_a_job_is_found_by_its_id(view: JobsView) -> None:
    job = record("j1")
    view.apply(entry(job, 7))
    assert view.find("j1") == (job, 7)
    assert view.find("j2") is None


@pytest.mark.parametrize(
    ("key", "name"), [(f"{HASH}.mp3", HASH), (f"form/{UPLOAD}/my song.mp3", UPLOAD)]
)
def test_a_job_is_found_by_the_name_in_its_songs_key(view: JobsView, key: str, name: str) -> None:
    view.apply(entry(record("j1", key), 1))
    found = view.find(name)
    assert found is not None
    assert found.record.id == "j1"


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ({"state": JobState.RUNNING, "updated": "1"}, {"state": JobState.DONE, "updated": "2"}, 0),
        ({"state": JobState.DONE, "updated": "1"}, {"state": JobState.FAILED, "updated": "2"}, 1),
        (
            {"state": JobState.DONE, "updated": "1"},
            {"state": JobState.SUPERSEDED, "updated": "2"},
            0,
        ),
        ({"state": JobState.DONE, "updated": "1"}, {"state": JobState.DONE, "updated": "1"}, 1),
    ],
    ids=["unfinished-first", "last-ended-first", "superseded-last", "latest-revision-first"],
)
def test_of_several_jobs_of_a_song_the_current_one_is_found(
    view: JobsView, first: dict[str, Any], second: dict[str, Any], found: int
) -> None:
    view.apply(entry(record("j0", f"{HASH}.mp3", **first), 1))
    view.apply(entry(record("j1", f"{HASH}.mp3", **second), 2))
    current = view.find(HASH)
    assert current is not None
    assert current.record.id == f"j{found}"


def test_all_jobs_of_a_song_are_found(view: JobsView) -> None:
    jobs = [record("j0", f"{HASH}.mp3"), record("j1", f"{HASH}.mp3"), record("j2")]
    for revision, job in enumerate(jobs):
        view.apply(entry(job, revision))
    assert view.jobs_of(HASH) == {"j0": (jobs[0], 0), "j1": (jobs[1], 1)}
    assert view.jobs_of("j2") == {}


def test_a_deleted_job_is_not_found_by_any_name(view: JobsView) -> None:
    view.apply(entry(record("j1", f"{HASH}.mp3"), 1))
    view.apply(Entry("j1", None, 2))
    assert (view.find("j1"), view.find(HASH), view.records()) == (None, None, [])


def test_an_unreadable_entry_is_ignored(view: JobsView, caplog: pytest.LogCaptureFixture) -> None:
    view.apply(Entry("j1", b"[]", 1))
    assert view.records() == []
    assert "job record ignored: it cannot be read" in caplog.text


def test_an_own_write_is_visible_at_once(view: JobsView) -> None:
    view.apply_own_write(entry(record("j1"), 3))
    found = view.find("j1")
    assert found is not None
    assert found.revision == 3


def test_an_entry_from_the_bus_takes_precedence_over_an_own_write(view: JobsView) -> None:
    view.apply(entry(record("j1", state=JobState.RUNNING), 4))
    view.apply_own_write(entry(record("j1"), 3))
    found = view.find("j1")
    assert found is not None
    assert (found.record.state, found.revision) == (JobState.RUNNING, 4)


def test_an_own_write_stays_while_the_bus_reports_older_entries(view: JobsView) -> None:
    view.apply_own_write(entry(record("j1", state=JobState.CANCELLED), 5))
    view.apply(entry(record("j1"), 3))
    view.apply(Entry("j1", None, 4))
    found = view.find("j1")
    assert found is not None
    assert (found.record.state, found.revision) == (JobState.CANCELLED, 5)


def test_after_an_own_write_the_entries_of_a_bus_that_has_lost_its_data_are_applied(
    view: JobsView,
) -> None:
    view.apply_own_write(entry(record("j1"), 5))
    view.apply(entry(record("j1"), 5))
    view.apply(entry(record("j1", state=JobState.RUNNING), 1))
    found = view.find("j1")
    assert found is not None
    assert (found.record.state, found.revision) == (JobState.RUNNING, 1)


def test_an_own_write_replaces_an_older_entry(view: JobsView) -> None:
    view.apply(entry(record("j1"), 3))
    view.apply_own_write(entry(record("j1", state=JobState.CANCELLED), 4))
    found = view.find("j1")
    assert found is not None
    assert (found.record.state, found.revision) == (JobState.CANCELLED, 4)


def test_waiting_returns_at_once_if_the_revision_differs(view: JobsView) -> None:
    view.apply(entry(record("j1"), 5))
    changed = view.wait_for_change("j1", 4, 10)
    assert changed is not None
    assert changed.revision == 5


def test_waiting_returns_none_if_nothing_changes(view: JobsView) -> None:
    view.apply(entry(record("j1"), 5))
    assert view.wait_for_change("j1", 5, 0.01) is None


def test_waiting_returns_when_a_change_arrives(view: JobsView) -> None:
    thread = threading.Timer(0.05, view.apply, [entry(record("j1"), 1)])
    thread.start()
    changed = view.wait_for_change("j1", 0, 10)
    thread.join()
    assert changed is not None
    assert changed.record.id == "j1"


def test_the_jobs_that_changed_after_a_change_are_returned_the_latest_first(view: JobsView) -> None:
    view.apply(entry(record("j1"), 1))
    view.apply(entry(record("j2"), 2))
    seen = view.changes_after(0, 0)
    assert [job.record.id for job in seen.jobs] == ["j2", "j1"]
    view.apply(entry(record("j3"), 3))
    view.apply(entry(record("j1", state=JobState.DONE), 4))
    changes = view.changes_after(seen.number, 10)
    assert [job.record.id for job in changes.jobs] == ["j1", "j3"]
    assert changes.revision == 4
    assert view.changes_after(changes.number, 0).jobs == []


def test_a_deleted_job_is_a_change_without_jobs(view: JobsView) -> None:
    view.apply(entry(record("j1"), 1))
    number = view.changes_after(0, 0).number
    view.apply(Entry("j1", None, 2))
    assert view.changes_after(number, 10).jobs == []
    assert view.changes_after(number, 10).number > number


@pytest.mark.parametrize(
    ("key", "alias"),
    [
        (f"{HASH}.mp3", HASH),
        (f"{HASH}.wav", ""),
        (f"x/{HASH}.mp3", ""),
        (f"form/{UPLOAD}/a.mp3", UPLOAD),
        ("form/a.mp3", ""),
        ("demo/song.mp3", ""),
    ],
)
def test_the_alias_of_a_song_is_the_hash_or_upload_in_its_key(key: str, alias: str) -> None:
    assert song_alias(key) == alias


def test_a_songs_name_is_its_hash_or_else_the_job(view: JobsView) -> None:
    assert song_hash(record("j1", f"{HASH}.mp3")) == HASH
    assert song_hash(record("j1", f"form/{UPLOAD}/a.mp3")) == "j1"
