"""A stem is streamed before it is finished: preview chunks as they appear, then the rest."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from microdemucs.jobs import JobRecord, JobState, preview_key
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

STEM = bytes(range(256)) * 1000


@pytest.fixture
def job(job_writer: JobWriter, client: WebClient) -> JobRecord:
    """A running job that the app knows."""
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    return record


@pytest.fixture
def write_chunk(job_writer: JobWriter, job: JobRecord) -> Callable[..., None]:
    """Write a preview chunk of the job's drums."""

    def write(number: int, data: bytes, file: str = "drums.mp3") -> None:
        job_writer.stems.write(preview_key(job.key, file, number), data, "audio/mpeg")

    return write


def get_preview(client: WebClient, job: JobRecord, track: str = "drums") -> Any:
    return client.get(f"/apiv1/jobs/{job.id}/live/{track}")


@pytest.mark.parametrize("track", ["drums", "drums.mp3"])
def test_chunks_come_in_order_and_then_the_rest_of_the_stem(
    client: WebClient,
    job_writer: JobWriter,
    job: JobRecord,
    write_chunk: Callable[..., None],
    track: str,
) -> None:
    write_chunk(1, STEM[:1000])
    write_chunk(2, STEM[1000:1500])
    with get_preview(client, job, track) as response:
        assert (response.status_code, response.content_type) == (200, "audio/mpeg")
        received = response.iter_encoded()
        assert next(received) + next(received) == STEM[:1500]
        write_chunk(3, STEM[1500:9000])
        assert next(received) == STEM[1500:9000]
        job_writer.finish(job, {"drums.mp3": STEM})
        assert b"".join(received) == STEM[9000:]


def test_a_stream_waits_for_the_next_chunk(
    process: str, job_writer: JobWriter, job: JobRecord, write_chunk: Callable[..., None]
) -> None:
    write_chunk(1, b"first")
    url = f"{process}/apiv1/jobs/{job.id}/live/drums"
    wait_until(lambda: urllib3.request("HEAD", url).status == 200)
    response = urllib3.request("GET", url, preload_content=False, timeout=20)
    received = response.stream(5)
    assert next(received) == b"first"
    write_chunk(2, b"secon")
    assert next(received) == b"secon"
    job_writer.finish(job, {"drums.mp3": b"firstsecond, and last"})
    assert b"".join(received) == b"d, and last"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_the_stream_ends_with_a_job_that_fails(
    client: WebClient,
    job_writer: JobWriter,
    job: JobRecord,
    write_chunk: Callable[..., None],
    state: JobState,
) -> None:
    write_chunk(1, b"the only chunk")
    with get_preview(client, job) as response:
        received = response.iter_encoded()
        assert next(received) == b"the only chunk"
        job_writer.write_record(job, state=state)
        assert b"".join(received) == b""


def test_the_stream_survives_a_job_that_waits_again(
    client: WebClient, job_writer: JobWriter, job: JobRecord, write_chunk: Callable[..., None]
) -> None:
    write_chunk(1, b"one, ")
    with get_preview(client, job) as response:
        received = response.iter_encoded()
        assert next(received) == b"one, "
        job_writer.write_record(job, state=JobState.WAITING)
        job_writer.write_record(job, state=JobState.RUNNING)
        write_chunk(2, b"two")
        assert next(received) == b"two"
        job_writer.write_record(job, state=JobState.FAILED)
        assert b"".join(received) == b""


def test_the_preview_of_a_finished_job_is_the_whole_stem(
    client: WebClient, job_writer: JobWriter, job: JobRecord
) -> None:
    job_writer.finish(job, {"drums.flac": STEM})
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.DONE)
    with get_preview(client, job) as response:
        assert (response.data, response.content_type) == (STEM, "audio/flac")


@pytest.mark.parametrize(
    ("file", "rest"), [("drums.mp3", STEM[100:]), ("drums.wav", STEM[100:]), ("drums.flac", b"")]
)
def test_a_stem_that_was_encoded_again_continues_at_the_same_byte_except_flac(
    client: WebClient,
    job_writer: JobWriter,
    job: JobRecord,
    write_chunk: Callable[..., None],
    file: str,
    rest: bytes,
) -> None:
    write_chunk(1, STEM[:100], file)
    with get_preview(client, job) as response:
        received = response.iter_encoded()
        assert next(received) == STEM[:100]
        job_writer.write_stems(job.key, {file: STEM}, scale=0.9, job=job.id)
        job_writer.write_record(job, state=JobState.DONE, stems=[file])
        assert b"".join(received) == rest


def test_stems_of_another_job_are_not_mixed_in(
    client: WebClient, job_writer: JobWriter, job: JobRecord, write_chunk: Callable[..., None]
) -> None:
    write_chunk(1, STEM[:100])
    with get_preview(client, job) as response:
        received = response.iter_encoded()
        assert next(received) == STEM[:100]
        job_writer.write_stems(job.key, {"drums.mp3": STEM}, job="0" * 32)
        job_writer.write_record(job, state=JobState.DONE, stems=["drums.mp3"])
        assert b"".join(received) == b""


def test_the_number_of_streams_is_limited_and_a_closed_one_is_released(
    serve: Callable[..., WebClient], write_chunk: Callable[..., None], job: JobRecord
) -> None:
    client = serve(EVENT_STREAMS="1")
    write_chunk(1, STEM)
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").status_code == 200)
    with get_preview(client, job) as first:
        assert next(first.iter_encoded())
        assert get_preview(client, job).json["type"].endswith(":too-many-streams")
    with get_preview(client, job) as second:
        assert second.status_code == 200


def test_what_is_no_stem_uses_up_no_stream(
    serve: Callable[..., WebClient], job_writer: JobWriter, job: JobRecord
) -> None:
    client = serve(EVENT_STREAMS="1")
    job_writer.stems.write(f"{job.key}/.live/t.ogg/manifest.json", b"{}", "application/json")
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").status_code == 200)
    for _ in range(3):
        assert get_preview(client, job, "t").status_code == 404
    with client.get(f"/apiv1/jobs/{job.id}/events") as stream:
        assert stream.status_code == 200


def test_a_stem_without_audio_is_not_found_and_the_problem_names_the_reason(
    client: WebClient, job_writer: JobWriter, job: JobRecord, write_chunk: Callable[..., None]
) -> None:
    def kind(track: str = "drums", id_: str = job.id) -> str:
        response = client.get(f"/apiv1/jobs/{id_}/live/{track}")
        assert response.status_code == 404
        return str(response.json["type"]).rpartition(":")[2]

    assert kind() == "not-separated"
    write_chunk(1, b"x")
    assert kind("kazoo") == kind("drums.wav") == "unknown-track"
    assert kind(id_="0" * 32) == "unknown-job"
    job_writer.write_record(job, state=JobState.FAILED)
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.FAILED)
    assert kind() == "not-separated"
