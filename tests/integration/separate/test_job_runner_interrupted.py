"""Jobs that are interrupted: nothing half done stays, and no song is lost."""

import errno
import json
import threading
import time
from dataclasses import replace

import pytest
from minio import Minio

from functions.separate import lease
from functions.separate.context import Context
from functions.separate.job_runner import run_job
from functions.separate.output.stem_store import StemStore
from functions.separate.progress import ProgressReporter
from microdemucs import shutdown
from microdemucs.bus import CANCELS, JOBS, LEASES, Bus
from microdemucs.jobs import JobRecord, song_digest
from microdemucs.manifest import Manifest
from microdemucs.problems import RetryLater, now
from tests.integration.separate import sounds
from tests.integration.separate.jobs import (
    PutSong,
    ReadFailure,
    ReadFinished,
    ReadObjects,
    ReadRecord,
    at_phase,
    put_again_later,
)


def stop(_: ProgressReporter) -> None:
    """Do what SIGTERM does."""
    shutdown.stopping.set()


def test_a_job_that_is_cancelled_before_it_begins_fails(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    failure: ReadFailure,
    record: ReadRecord,
    bus: Bus,
) -> None:
    job = put(song)
    bus.put(CANCELS, job.id, now().encode())
    run_job(job, context)
    assert failure(job).is_cancelled
    assert (record(job).state, list(objects(job))) == ("cancelled", ["failure.json"])
    assert (record(job).started, record(job).model) == ("", "")
    assert failure(job).decided == record(job).cancel_requested


def test_a_job_is_cancelled_between_two_windows(
    put: PutSong,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(sounds.file(sounds.music(50)), shifts="20")
    at_phase(monkeypatch, "separating", lambda progress: bus.put(CANCELS, job.id, now().encode()))
    run_job(job, context)
    assert (record(job).state, list(objects(job))) == ("cancelled", ["failure.json"])
    assert 0.04 <= record(job).progress < 0.98


def test_a_cancel_that_comes_too_late_does_not_stop_the_next_run(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    root: Minio,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(song)
    finish = StemStore.finish

    def finish_and_cancel(stem_store: StemStore, manifest: Manifest) -> Manifest:
        written = finish(stem_store, manifest)
        bus.put(CANCELS, job.id, now().encode())
        return written

    monkeypatch.setattr(StemStore, "finish", finish_and_cancel)
    run_job(job, context)
    assert (record(job).state, bus.get(CANCELS, job.id)) == ("done", None)
    root.remove_object("stems", f"{job.song.key}/drums.mp3")
    run_job(job, context)  # sent again, by a store whose clock is behind
    assert {"manifest.json", "drums.mp3"} <= set(objects(job))


def test_a_cancel_request_ends_with_its_job(
    put: PutSong, song: bytes, context: Context, record: ReadRecord, bus: Bus
) -> None:
    job = put(song)
    bus.put(CANCELS, job.id, now().encode())
    run_job(job, context)
    assert (record(job).state, bus.get(CANCELS, job.id)) == ("cancelled", None)


def test_each_request_of_a_cancelled_job_has_a_message_for_its_own_callback(
    put: PutSong, song: bytes, context: Context, bus: Bus, finished: ReadFinished
) -> None:
    jobs = [put(song, callback=digit * 32) for digit in "ab"]
    bus.put(CANCELS, jobs[0].id, put_again_later(jobs[0]).song.time.encode())
    for job in jobs:
        run_job(job, context)
    messages = finished(jobs[0])
    assert [message.callback[0] for message in messages] == ["a", "b"]
    assert all(":cancelled" in message.document for message in messages)


def test_a_request_from_before_a_cancel_is_answered_although_the_song_was_sent_again(
    put: PutSong, song: bytes, context: Context, bus: Bus, finished: ReadFinished
) -> None:
    job = put(song, callback="a" * 32)
    bus.put(CANCELS, job.id, now().encode())
    waiting = JobRecord.of(put_again_later(job).song)  # as the intake records the second event
    bus.put(JOBS, job.id, waiting.write())
    run_job(job, context)
    run_job(replace(put_again_later(job), callback="b" * 32), context)
    first, second = finished(job)
    assert (first.callback[0], second.callback[0]) == ("a", "b")
    assert ":cancelled" in first.document
    assert second.key.endswith("/manifest.json")


def test_a_superseded_job_has_a_message_for_its_callback(
    put: PutSong, song: bytes, context: Context, root: Minio, finished: ReadFinished
) -> None:
    job = put(song, callback="a" * 32)
    root.remove_object("songs", job.song.key)
    run_job(job, context)
    [message] = finished(job)
    assert ":superseded" in message.document


@pytest.mark.parametrize("value", [b"\xff", b"{}", b"[" * 100_000])
def test_a_record_that_nobody_wrote_is_replaced(
    put: PutSong, song: bytes, context: Context, record: ReadRecord, bus: Bus, value: bytes
) -> None:
    job = put(song)
    bus.put(JOBS, job.id, value)
    run_job(job, context)
    assert record(job).state == "done"


def test_a_cancelled_song_that_is_put_again_is_separated(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects, bus: Bus
) -> None:
    job = put(song)
    bus.put(CANCELS, job.id, now().encode())
    run_job(job, context)
    run_job(put_again_later(job), context)
    assert {"manifest.json", "drums.mp3"} <= set(objects(job))
    assert "failure.json" not in objects(job)


def test_a_cancel_from_before_the_song_was_put_is_not_for_its_job(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects, bus: Bus
) -> None:
    job = put(song)
    bus.put(CANCELS, job.id, now().encode())
    run_job(put_again_later(job), context)
    assert "manifest.json" in objects(job)


def test_the_first_event_of_a_song_that_was_put_again_after_a_cancel_leaves_it_to_the_second(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    bus: Bus,
) -> None:
    job = put(song)
    bus.put(CANCELS, job.id, now().encode())
    waiting = JobRecord.of(put_again_later(job).song)  # as the intake records the second event
    bus.put(JOBS, job.id, waiting.write())
    run_job(job, context)
    assert (record(job), objects(job)) == (waiting, {})
    run_job(put_again_later(job), context)
    assert "manifest.json" in objects(job)


def test_a_song_that_is_put_again_before_its_cancelled_job_stops_waits_and_is_separated(
    put: PutSong,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    song = sounds.file(sounds.music(50, seed=51))
    job = put(song)
    times_put_again: list[str] = []

    def cancel_and_put_again(_: ProgressReporter) -> None:
        bus.put(CANCELS, job.id, now().encode())
        time.sleep(0.01)
        assert put(song).id == job.id
        times_put_again.append(now())

    at_phase(monkeypatch, "separating", cancel_and_put_again)
    run_job(job, context)
    assert (record(job).state, record(job).problem, objects(job)) == ("waiting", None, {})
    assert record(job).created <= times_put_again[0]
    run_job(replace(job, song=replace(job.song, time=times_put_again[0])), context)
    assert "manifest.json" in objects(job)


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "overwritten"])
def test_a_song_that_changes_while_it_is_separated_is_given_up_soon(
    put: PutSong,
    context: Context,
    root: Minio,
    objects: ReadObjects,
    record: ReadRecord,
    monkeypatch: pytest.MonkeyPatch,
    is_removed: bool,
) -> None:
    job = put(sounds.file(sounds.music(59, seed=52)), shifts="20")

    def change(_: ProgressReporter) -> None:
        if is_removed:
            root.remove_object("songs", job.song.key)
        else:
            put(sounds.file(sounds.music(0.5, seed=9)))

    at_phase(monkeypatch, "separating", change)
    run_job(job, context)
    assert (record(job).state, objects(job)) == ("superseded", {})
    assert record(job).progress < 0.5
    assert record(job).finished


@pytest.mark.parametrize("phase", ["downloading", "separating", "uploading"])
def test_a_song_that_is_overwritten_while_it_is_separated_is_superseded(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
) -> None:
    job = put(song)
    other = sounds.file(sounds.music(0.5, seed=9))
    at_phase(monkeypatch, phase, lambda progress: put(other))
    run_job(job, context)
    assert (record(job).state, objects(job)) == ("superseded", {})


def test_a_song_that_is_overwritten_before_it_is_rejected_is_superseded(
    put: PutSong,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    song: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(b"a text")
    at_phase(monkeypatch, "decoding", lambda progress: put(song))
    run_job(job, context)
    assert (record(job).state, objects(job)) == ("superseded", {})


def test_a_song_that_was_removed_is_superseded(
    put: PutSong,
    song: bytes,
    context: Context,
    root: Minio,
    objects: ReadObjects,
    record: ReadRecord,
) -> None:
    job = put(song)
    root.remove_object("songs", job.song.key)
    run_job(job, context)
    assert (record(job).state, objects(job)) == ("superseded", {})


def test_a_process_that_lost_the_lease_stops(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(song)
    at_phase(monkeypatch, "separating", lambda progress: progress.lease.lose("tried"))
    with pytest.raises(RetryLater, match="Another process"):
        run_job(job, context)
    assert objects(job) == {}
    assert record(job).state in ("running", "waiting")  # its successor writes it from now on


def test_a_stop_hands_back_a_song_that_needs_longer_than_the_grace_period(
    put: PutSong,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(sounds.file(sounds.music(50)))
    at_phase(monkeypatch, "separating", stop)
    with pytest.raises(RetryLater) as raised:
        run_job(job, replace(context, grace_seconds=3.5))
    assert (raised.value.kind, raised.value.after) == ("stopping", 1)
    assert (objects(job), record(job).state, record(job).progress) == ({}, "waiting", 0)
    assert not bus.get(LEASES, song_digest(job.song.key))


def test_a_stop_lets_a_song_end_that_is_nearly_done(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(song)
    at_phase(monkeypatch, "uploading", stop)
    run_job(job, context)
    assert "manifest.json" in objects(job)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError(), "no-memory"), (OSError(errno.ENOSPC, "full"), "no-disk")],
    ids=["memory", "disk"],
)
def test_a_job_without_enough_memory_or_disk_waits(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: str,
) -> None:
    job = put(song)

    def fail(_: ProgressReporter) -> None:
        raise error

    at_phase(monkeypatch, "separating", fail)
    with pytest.raises(RetryLater) as raised:
        run_job(job, context)
    assert raised.value.kind == kind
    assert (objects(job), record(job).state) == ({}, "waiting")


def test_events_at_the_same_time_are_one_job(
    put: PutSong,
    song: bytes,
    context: Context,
    objects: ReadObjects,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease, "_MAX_WAIT_S", 60)
    job = put(song)
    results: list[str] = []

    def run() -> None:
        run_job(job, context)
        results.append(json.dumps(objects(job)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(set(results)) == 1
