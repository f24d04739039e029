"""Ranges of a stem that still grows are answered at once, with what is encoded by now."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from microdemucs.jobs import JobRecord, JobState, preview_key
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

STEM = bytes(range(256)) * 40


@pytest.fixture
def job(job_writer: JobWriter, client: WebClient) -> JobRecord:
    """A running job with two preview chunks of the drums, 1,000 and 500 bytes."""
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    for number, data in ((1, STEM[:1000]), (2, STEM[1000:1500])):
        job_writer.stems.write(preview_key(record.key, "drums.mp3", number), data, "audio/mpeg")
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    return record


@pytest.fixture
def get_range(client: WebClient, job: JobRecord) -> Callable[..., Any]:
    """Request one range of the job's drums."""

    def get(bytes_: str, track: str = "drums") -> Any:
        return client.get(
            f"/apiv1/jobs/{job.id}/live/{track}", headers={"Range": f"bytes={bytes_}"}
        )

    return get


@pytest.mark.parametrize(
    ("requested", "expected", "content_range"),
    [
        ("0-99", STEM[:100], "bytes 0-99/1500"),
        ("900-1099", STEM[900:1100], "bytes 900-1099/1500"),
        ("1200-", STEM[1200:1500], "bytes 1200-1499/1500"),
        ("1400-9999", STEM[1400:1500], "bytes 1400-1499/1500"),
        ("-5", STEM[1495:1500], "bytes 1495-1499/1500"),
    ],
)
def test_a_range_has_what_is_encoded_by_now(
    get_range: Callable[..., Any], requested: str, expected: bytes, content_range: str
) -> None:
    response = get_range(requested)
    assert (response.status_code, response.data) == (206, expected)
    assert response.headers["Content-Range"] == content_range
    assert response.content_type == "audio/mpeg"


def test_a_range_beyond_what_is_encoded_is_416_and_comes_later(
    get_range: Callable[..., Any], job_writer: JobWriter, job: JobRecord
) -> None:
    response = get_range("1500-")
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */1500")
    job_writer.stems.write(preview_key(job.key, "drums.mp3", 3), STEM[1500:1600], "audio/mpeg")
    assert get_range("1500-").data == STEM[1500:1600]


def test_the_ranges_of_a_finished_job_are_those_of_the_stem(
    get_range: Callable[..., Any], client: WebClient, job_writer: JobWriter, job: JobRecord
) -> None:
    job_writer.finish(job, {"drums.mp3": STEM})
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.DONE)
    response = get_range("1500-1999")
    assert response.data == STEM[1500:2000]
    assert response.headers["Content-Range"] == f"bytes 1500-1999/{len(STEM)}"


@pytest.mark.parametrize("file", ["drums.mp3", "drums.flac"])
def test_a_stem_that_was_encoded_again_has_no_range_that_continues_its_preview(
    get_range: Callable[..., Any],
    client: WebClient,
    job_writer: JobWriter,
    job: JobRecord,
    file: str,
) -> None:
    job_writer.write_stems(job.key, {file: STEM}, scale=0.9, job=job.id)
    job_writer.write_record(job, state=JobState.DONE, stems=[file])
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.DONE)
    assert get_range("1500-", file).status_code == 416
    assert get_range("0-9", file).data == STEM[:10]


def test_several_ranges_are_answered_with_the_stream(
    get_range: Callable[..., Any], client: WebClient, job_writer: JobWriter, job: JobRecord
) -> None:
    job_writer.finish(job, {"drums.mp3": STEM})
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == JobState.DONE)
    with get_range("0-1,5-6") as response:
        assert (response.status_code, response.data) == (200, STEM)
