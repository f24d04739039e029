"""Jobs that something comes between: nothing half done stays, and nothing is lost."""

import errno
import json
import threading
from dataclasses import replace

import pytest

from functions.separate.job_runner import run_job
from functions.separate.lease import Lease
from functions.separate.progress import ProgressReporter
from microdemucs import shutdown
from microdemucs.bus import CANCELS, LEASES
from microdemucs.jobs import JobRecord, song_digest
from microdemucs.problems import RetryLater
from tests.integration.separate import sounds
from tests.integration.separate.asked import at, later


def test_a_cancelled_job_is_not_begun(put, song, context, beside, failure, record, bus):
    job = put(song)
    bus.put(CANCELS, job.id, b"1")
    run_job(job, context)
    assert failure(job)["type"].endswith(":cancelled")
    assert (record(job).state, list(beside(job))) == ("cancelled", ["failure.json"])


def test_a_job_is_cancelled_between_two_segments(put, context, beside, record, bus, monkeypatch):
    job = put(sounds.file(sounds.music(50)))

    def cancel(report: ProgressReporter) -> None:
        bus.put(CANCELS, job.id, b"1")

    at(monkeypatch, "separating", cancel)
    run_job(job, context)
    assert (record(job).state, list(beside(job))) == ("cancelled", ["failure.json"])
    assert 0.04 <= record(job).progress < 0.98


def test_a_cancelled_song_that_is_put_again_is_separated(put, song, context, beside, bus):
    job = put(song)
    bus.put(CANCELS, job.id, b"1")
    run_job(job, context)
    run_job(later(job), context)
    assert {"manifest.json", "drums.mp3"} <= set(beside(job))
    assert "failure.json" not in beside(job)


@pytest.mark.parametrize("phase", ["downloading", "separating", "uploading"])
def test_a_song_that_is_overwritten_meanwhile_is_left_to_its_own_event(
    put, song, context, beside, record, monkeypatch, phase
):
    job = put(song)
    at(monkeypatch, phase, lambda report: put(sounds.file(sounds.music(0.5, seed=9))) and None)
    run_job(job, context)
    assert (record(job).state, beside(job)) == ("superseded", {})


def test_a_song_that_is_gone_is_nobodys(put, song, context, root, beside, record):
    job = put(song)
    root.remove_object("songs", job.song.key)
    run_job(job, context)
    assert (record(job).state, beside(job)) == ("superseded", {})


def test_one_song_has_one_writer_at_a_time(put, song, context, beside, bus):
    job = put(song)
    other = Lease(bus, job.song.key, "another process")
    other.take()
    with pytest.raises(RetryLater, match="Another process"):
        run_job(job, context)
    assert beside(job) == {}
    other.release()
    run_job(job, context)
    assert "manifest.json" in beside(job)
    assert not bus.get(LEASES, song_digest(job.song.key))


def test_who_lost_the_lease_stops(put, song, context, beside, record, monkeypatch):
    job = put(song)
    at(monkeypatch, "separating", lambda report: report.lease.lost.set())
    with pytest.raises(RetryLater, match="Another process"):
        run_job(job, context)
    assert (beside(job), record(job).state) == ({}, "waiting")


def test_a_lease_is_kept_for_as_long_as_its_holder_says_so(bus, request):
    lease = Lease(bus, request.node.name, "we")
    lease.take()
    lease.renew()
    assert not lease.lost.is_set()
    bus.delete(LEASES, song_digest(request.node.name))  # it ran out
    lease.renew()
    assert not lease.lost.is_set()
    bus.delete(LEASES, song_digest(request.node.name))
    Lease(bus, request.node.name, "they").take()
    lease.renew()
    assert lease.lost.is_set()
    lease.release()
    assert bus.get(LEASES, song_digest(request.node.name)).value == b"they"


def test_a_stop_hands_back_a_song_that_needs_longer_than_the_grace(
    put, context, beside, record, bus, monkeypatch
):
    job = put(sounds.file(sounds.music(50)))
    at(monkeypatch, "separating", lambda report: shutdown.stopping.set())
    with pytest.raises(RetryLater) as told:
        run_job(job, replace(context, grace_seconds=3.5))
    assert (told.value.kind, told.value.after) == ("stopping", 1)
    assert (beside(job), record(job).state, record(job).progress) == ({}, "waiting", 0)
    assert not bus.get(LEASES, song_digest(job.song.key))


def test_a_stop_counts_the_stems_that_must_be_encoded_again(bus, context):
    report = ProgressReporter(
        bus, Lease(bus, "k", "we"), JobRecord("j", "songs", "k", "e"), grace_seconds=5
    )
    report.set_reencode_seconds(4 * 3600)  # s of audio
    shutdown.stopping.set()
    with pytest.raises(RetryLater, match="is stopping"), report.phase("uploading"):
        """It does not begin."""
    report.set_reencode_seconds(0)
    with report.phase("uploading"):
        """It may end what it has."""


def test_a_stop_lets_a_song_end_that_is_nearly_done(put, song, context, beside, monkeypatch):
    job = put(song)
    at(monkeypatch, "uploading", lambda report: shutdown.stopping.set())
    run_job(job, context)
    assert "manifest.json" in beside(job)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError(), "no-memory"), (OSError(errno.ENOSPC, "full"), "no-disk")],
    ids=["memory", "disk"],
)
def test_too_little_memory_or_disk_may_pass(
    put, song, context, beside, record, monkeypatch, error, kind
):
    job = put(song)

    def fail(report: ProgressReporter) -> None:
        raise error

    at(monkeypatch, "separating", fail)
    with pytest.raises(RetryLater) as told:
        run_job(job, context)
    assert told.value.kind == kind
    assert (beside(job), record(job).state) == ({}, "waiting")


def test_events_at_once_are_one_job(put, song, context, beside):
    job = put(song)
    told: list[str] = []

    def one() -> None:
        run_job(job, context)
        told.append(json.dumps(beside(job)))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 3
    assert len(set(told)) == 1
