"""Retrying jobs, on a real store and bus."""

import json
import uuid
from typing import Any

import pytest
from nats.aio.client import Client

from functions.upload.context import Context
from microdemucs.bus import JOBS, SONGS
from microdemucs.events import object_from_record
from microdemucs.jobs import JobRecord, JobState, job_id
from microdemucs.manifest import Failure, StoredSong, failure_key
from microdemucs.problems import now
from microdemucs.result_store import read_failure
from testing.job_writer import JobWriter
from testing.objects import put_song
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient


@pytest.fixture
def ctx(client: WebClient) -> Context:
    context: Context = client.application.extensions["context"]()
    return context


def record_job(
    stack: Stack, ctx: Context, job_writer: JobWriter, state: JobState, **changes: Any
) -> JobRecord:
    """A job whose song is in the store, in this state, as the API knows it."""
    song = put_song(
        stack.store, f"retry/{uuid.uuid4()}.mp3", b"music", metadata={"two-stems": "vocals"}
    )
    members: dict[str, Any] = {"state": state, "finished": now()} | changes
    record = job_writer.write_record(JobRecord.of(song), **members)
    wait_until(lambda: ctx.jobs.find(record.id))
    return record


def write_failure(job_writer: JobWriter, record: JobRecord, job: str) -> None:
    failure = Failure(
        problem={"type": "urn:micro-demucs:problem:corrupt", "title": "", "status": 422},
        job=job,
        song=StoredSong(bucket=record.bucket, key=record.key, etag=record.etag),
        options={},
        finished=now(),
    )
    key = failure_key(record.key)
    job_writer.stems.write(key, failure.write(), "application/json")


def last_requeued(stack: Stack) -> Any:
    """The last message on separation.requeue."""

    async def read(client: Client) -> Any:
        message = await client.jetstream().get_last_msg(SONGS, "separation.requeue")
        return json.loads(message.data or b"")

    return stack.on_bus("provision", read)


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        (JobState.FAILED, {"problem": {"type": "urn:micro-demucs:problem:corrupt"}}),
        (JobState.CANCELLED, {"cancel_requested": "2026-01-01T00:00:00.000Z"}),
        (JobState.DONE, {"removed": "2026-01-01T00:00:00.000Z"}),
    ],
)
def test_a_job_without_stems_waits_again_with_its_options(
    stack: Stack,
    ctx: Context,
    client: WebClient,
    job_writer: JobWriter,
    state: JobState,
    changes: dict[str, Any],
) -> None:
    record = record_job(stack, ctx, job_writer, state, **changes)
    response = client.post(f"/apiv1/jobs/{record.id}/retry")
    assert response.status_code == 202, response.json
    assert response.json == {"id": record.id, "state": "waiting", "reason": "queued"}
    job = client.get(f"/apiv1/jobs/{record.id}").json
    assert (job["state"], job["options"]) == ("waiting", {"two_stems": "vocals"})
    assert (job["problem"], job["removed"], job["cancel_requested"]) == (None, "", "")
    assert job["created"] > record.finished
    entry = job_writer.bus.get(JOBS, record.id)
    assert entry
    assert JobRecord.read(entry.value or b"").created == job["created"]


def test_the_bridge_is_sent_the_same_job_at_a_later_time(
    stack: Stack, ctx: Context, client: WebClient, job_writer: JobWriter
) -> None:
    record = record_job(stack, ctx, job_writer, JobState.FAILED, submitter="retry/")
    client.post(f"/apiv1/jobs/{record.id}/retry")
    song = object_from_record(last_requeued(stack)["Records"][0])
    assert job_id(song) == record.id
    assert song.time > record.finished
    assert song.is_song


def test_the_failure_of_the_job_is_removed_and_no_other(
    stack: Stack, ctx: Context, client: WebClient, job_writer: JobWriter
) -> None:
    record, other = (record_job(stack, ctx, job_writer, JobState.FAILED) for _ in range(2))
    write_failure(job_writer, record, record.id)
    write_failure(job_writer, other, "0" * 32)
    for job in (record, other):
        assert client.post(f"/apiv1/jobs/{job.id}/retry").status_code == 202
    assert read_failure(job_writer.stems, record.key) is None
    assert read_failure(job_writer.stems, other.key) is not None


def problem(client: WebClient, record: JobRecord) -> tuple[int, str]:
    response = client.post(f"/apiv1/jobs/{record.id}/retry")
    return response.status_code, response.json["type"].rpartition(":")[2]


@pytest.mark.parametrize(
    "state", [JobState.WAITING, JobState.RUNNING, JobState.DONE, JobState.SUPERSEDED]
)
def test_another_job_cannot_be_retried(
    stack: Stack, ctx: Context, client: WebClient, job_writer: JobWriter, state: JobState
) -> None:
    record = record_job(stack, ctx, job_writer, state)
    assert problem(client, record) == (409, "not-retryable")


def test_a_job_is_queued_once_however_often_it_is_retried(
    stack: Stack, ctx: Context, client: WebClient, job_writer: JobWriter
) -> None:
    record = record_job(stack, ctx, job_writer, JobState.FAILED)
    assert client.post(f"/apiv1/jobs/{record.id}/retry").status_code == 202
    assert problem(client, record) == (409, "not-retryable")


def test_a_job_whose_song_was_removed_or_replaced_cannot_be_retried(
    stack: Stack, ctx: Context, client: WebClient, job_writer: JobWriter
) -> None:
    removed, replaced = (record_job(stack, ctx, job_writer, JobState.FAILED) for _ in range(2))
    stack.store.remove_object("songs", removed.key)
    put_song(stack.store, replaced.key, b"other music")
    assert problem(client, removed) == (409, "song-gone")
    assert problem(client, replaced) == (409, "song-gone")


def test_an_unknown_job_cannot_be_retried(client: WebClient) -> None:
    assert client.post(f"/apiv1/jobs/{'0' * 32}/retry").status_code == 404
