"""The cover of a job's song."""

import uuid
from typing import Any

import pytest
from msgspec import structs

from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import CoverEntry, Manifest
from microdemucs.result_store import write_manifest
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

JPEG = b"\xff\xd8\xff\xe0 a cover"


@pytest.fixture
def done(client: WebClient, job_writer: JobWriter) -> JobRecord:
    """A job that is done, with a cover."""
    record = new_job(f"{uuid.uuid4()}.mp3")
    key = f"{record.key}/cover.jpg"
    job_writer.write_stems(record.key, {"drums.mp3": b"d"}, job=record.id)
    job_writer.stems.write(key, JPEG, "image/jpeg")
    manifest = Manifest.read(job_writer.stems.read(f"{record.key}/manifest.json") or b"")
    song = structs.replace(manifest.song, cover=CoverEntry(key, len(JPEG), "image/jpeg"))
    manifest = structs.replace(manifest, song=song)
    write_manifest(job_writer.stems, manifest)
    facts = manifest.song.facts
    job_writer.write_record(record, state=JobState.DONE, stems=["drums.mp3"], song=facts)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    return record


def get(client: WebClient, job: JobRecord, **headers: str) -> Any:
    return client.get(f"/apiv1/jobs/{job.id}/cover", headers=headers)


def test_the_cover_is_sent(client: WebClient, done: JobRecord) -> None:
    response = get(client, done)
    assert (response.status_code, response.data) == (200, JPEG)
    assert response.content_type == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_job_with_a_cover_links_it(client: WebClient, done: JobRecord) -> None:
    job = client.get(f"/apiv1/jobs/{done.id}").json
    assert job["links"]["cover"] == f"/apiv1/jobs/{done.id}/cover"
    assert job["song"]["cover"] == "cover.jpg"


def test_a_cover_that_the_client_has_is_not_sent_again(client: WebClient, done: JobRecord) -> None:
    etag = get(client, done).headers["ETag"]
    again = get(client, done, **{"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_a_cover_is_removed_with_the_results(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    client.delete(f"/apiv1/jobs/{done.id}")
    assert job_writer.stems.list(f"{done.key}/") == []
    assert get(client, done).json["type"].endswith(":no-cover")
    assert "cover" not in client.get(f"/apiv1/jobs/{done.id}").json["links"]


def test_a_cover_is_removed_with_the_last_stem(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    client.delete(f"/apiv1/remove/{done.id}/drums")
    assert job_writer.stems.read(f"{done.key}/cover.jpg") is None


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.FAILED])
def test_a_job_that_is_not_done_has_no_cover(
    client: WebClient, job_writer: JobWriter, done: JobRecord, state: JobState
) -> None:
    job_writer.write_record(done, state=state)
    wait_until(lambda: client.get(f"/apiv1/jobs/{done.id}").json["state"] == state)
    response = get(client, done)
    assert (response.status_code, response.json["type"].rpartition(":")[2]) == (404, "no-cover")


def test_the_cover_of_another_job_of_the_song_is_not_sent(
    client: WebClient, job_writer: JobWriter, done: JobRecord
) -> None:
    job_writer.write_stems(done.key, {"drums.mp3": b"d"}, job="f" * 32)
    assert get(client, done).json["type"].endswith(":no-cover")


def test_a_song_without_a_cover(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.finish(new_job(f"{uuid.uuid4()}.mp3"), {"drums.mp3": b"d"})
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    assert get(client, record).json["type"].endswith(":no-cover")
    assert "cover" not in client.get(f"/apiv1/jobs/{record.id}").json["links"]
