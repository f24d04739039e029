"""Removing the results of finished jobs, on a real store and bus."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from functions.upload.context import Context
from functions.upload.removal import notice_removal, remove_results, remove_song
from microdemucs.bus import JOBS
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, JobState, peaks_preview_key, preview_key
from microdemucs.peaks import PEAKS_TYPE, peaks_key
from microdemucs.problems import now
from testing.job_writer import JobWriter, new_job
from testing.objects import put_song
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient

STEMS = {"drums.mp3": b"d", "bass.mp3": b"b"}


@pytest.fixture
def ctx(client: WebClient) -> Context:
    context: Context = client.application.extensions["context"]()
    return context


@pytest.fixture
def song(stack: Stack) -> ObjectCreated:
    """A song of its own for each test."""
    return put_song(stack.store, f"removal/{uuid.uuid4()}.mp3", b"music")


@pytest.fixture
def done(ctx: Context, song: ObjectCreated, job_writer: JobWriter) -> JobRecord:
    """A done job with two stems."""
    record = JobRecord.of(song)
    record.finished = now()
    record = job_writer.finish(record, STEMS)
    wait_until(lambda: ctx.jobs.find(record.id))
    return record


@pytest.fixture
def objects(job_writer: JobWriter) -> Callable[[str], set[str]]:
    """Returns the names of the objects beside a song."""

    def objects(key: str) -> set[str]:
        found = job_writer.stems.list(f"{key}/")
        return {str(item.object_name).removeprefix(f"{key}/") for item in found}

    return objects


def stored(job_writer: JobWriter, record: JobRecord) -> JobRecord:
    entry = job_writer.bus.get(JOBS, record.id)
    assert entry
    return JobRecord.read(entry.value or b"")


def test_deleting_a_done_job_removes_its_stems_and_keeps_its_record(
    client: WebClient,
    job_writer: JobWriter,
    done: JobRecord,
    objects: Callable[[str], set[str]],
    stack: Stack,
) -> None:
    job_writer.stems.write(preview_key(done.key, "drums.mp3", 1), b"d", "audio/mpeg")
    job_writer.stems.write(peaks_preview_key(done.key, 0), b"p", PEAKS_TYPE)
    job_writer.stems.write(peaks_key(done.key), b"p", PEAKS_TYPE)
    job_writer.stems.write(f"{done.key}/notes.txt", b"mine", "text/plain")
    response = client.delete(f"/apiv1/jobs/{done.id}")
    assert (response.status_code, response.json["reason"]) == (200, "removed")
    assert objects(done.key) == {"notes.txt"}
    job = client.get(f"/apiv1/jobs/{done.id}").json
    assert (job["state"], job["stems"]) == (JobState.DONE, [])
    assert job["removed"] == response.json["removed"]
    assert stack.store.stat_object("songs", done.key)


def test_deleting_it_again_answers_the_same(client: WebClient, done: JobRecord) -> None:
    first = client.delete(f"/apiv1/jobs/{done.id}").json
    assert client.delete(f"/apiv1/jobs/{done.id}").json == first


def test_a_request_that_only_cancels_removes_nothing_of_a_finished_job(
    client: WebClient, done: JobRecord, objects: Callable[[str], set[str]]
) -> None:
    response: Any = client.delete(f"/apiv1/jobs/{done.id}?cancel_only=true")
    assert response.status_code == 409
    assert response.json["type"].endswith("job-finished")
    assert objects(done.key) == {*STEMS, "manifest.json"}


def test_the_song_is_removed_on_request(
    client: WebClient, done: JobRecord, ctx: Context, stack: Stack
) -> None:
    response = client.delete(f"/apiv1/jobs/{done.id}?song=true")
    assert (response.status_code, response.json["song_removed"]) == (200, True)
    assert not list(stack.store.list_objects("songs", done.key))
    assert not client.delete(f"/apiv1/jobs/{done.id}?song=true").json["song_removed"]


def test_a_newer_version_of_the_song_stays(ctx: Context, done: JobRecord, stack: Stack) -> None:
    put_song(stack.store, done.key, b"other music")
    assert not remove_song(ctx, done)
    assert stack.store.stat_object("songs", done.key)


def test_the_stems_of_another_job_of_the_song_stay(
    ctx: Context,
    song: ObjectCreated,
    done: JobRecord,
    job_writer: JobWriter,
    objects: Callable[[str], set[str]],
) -> None:
    job_writer.write_stems(done.key, STEMS, job="f" * 32)
    assert remove_results(ctx, done).removed
    assert objects(done.key) == {*STEMS, "manifest.json"}


def test_the_failure_of_a_failed_job_is_removed(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(done, state=JobState.FAILED, stems=[])
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").json["state"] == JobState.FAILED)
    assert client.delete(f"/apiv1/jobs/{record.id}").status_code == 200
    assert stored(job_writer, record).removed


def test_a_job_whose_key_is_too_long_for_results_is_removed(
    client: WebClient, job_writer: JobWriter
) -> None:
    key = "/".join(["d" * 200] * 5) + ".mp3" + "k" * 12
    record = job_writer.write_record(new_job(key), state=JobState.FAILED, finished=now())
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    assert client.delete(f"/apiv1/jobs/{record.id}").status_code == 200


def test_a_job_whose_manifest_is_gone_says_so(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    job_writer.stems.remove(f"{done.key}/manifest.json")
    job = client.get(f"/apiv1/jobs/{done.id}").json
    assert (job["state"], job["stems"]) == (JobState.DONE, [])
    assert job["removed"]
    assert stored(job_writer, done).removed == job["removed"]


def test_a_job_whose_stems_are_all_gone_says_so(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    for file in STEMS:
        job_writer.stems.remove(f"{done.key}/{file}")
    assert client.get(f"/apiv1/jobs/{done.id}").json["removed"]


def test_a_job_shows_the_stems_that_are_left(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    job_writer.stems.remove(f"{done.key}/bass.mp3")
    job = client.get(f"/apiv1/jobs/{done.id}").json
    assert [stem["file"] for stem in job["stems"]] == ["drums.mp3"]
    assert not job["removed"]


def test_a_job_with_its_stems_is_not_changed(ctx: Context, done: JobRecord) -> None:
    assert notice_removal(ctx, done) == (done, set(STEMS))


@pytest.mark.parametrize("how", ["request", "bucket"])
def test_a_track_of_removed_stems_was_removed(
    client: WebClient, done: JobRecord, job_writer: JobWriter, how: str
) -> None:
    if how == "request":
        client.delete(f"/apiv1/jobs/{done.id}")
    else:
        job_writer.stems.remove(f"{done.key}/manifest.json")
    response = client.get(f"/apiv1/track/{done.id}/drums")
    assert response.status_code == 404
    assert response.json["type"] == "urn:micro-demucs:problem:track-removed"


def test_a_job_that_was_sent_again_meanwhile_keeps_its_record(
    ctx: Context, done: JobRecord, job_writer: JobWriter
) -> None:
    waiting = job_writer.write_record(done, state=JobState.WAITING, finished="")
    assert remove_results(ctx, done).state == JobState.WAITING
    assert stored(job_writer, done) == waiting


@pytest.mark.parametrize("query", ["song=yes", "songs=true", "cancel_only=1"])
def test_a_bad_parameter_is_named_and_nothing_is_removed(
    client: WebClient, done: JobRecord, objects: Callable[[str], set[str]], query: str
) -> None:
    response: Any = client.delete(f"/apiv1/jobs/{done.id}?{query}")
    assert (response.status_code, response.json["member"]) == (422, query.partition("=")[0])
    assert objects(done.key) == {*STEMS, "manifest.json"}
