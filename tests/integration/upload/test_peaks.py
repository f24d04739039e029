"""The peaks of a job: those that are published while it runs, then all of them."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from microdemucs.jobs import JobRecord, JobState, peaks_preview_key
from microdemucs.peaks import PEAKS_TYPE, Peaks, PeaksHeader
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

STEMS = ["drums", "bass"]
COLUMNS = bytes(range(60))  # ten columns of two stems
ALL = Peaks(PeaksHeader(stems=STEMS, total=10, final=True), COLUMNS)
FILES = {"drums.mp3": b"d", "bass.mp3": b"b"}


@pytest.fixture
def job(job_writer: JobWriter, client: WebClient) -> JobRecord:
    """A running job that the app knows."""
    record = job_writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    return record


@pytest.fixture
def publish(job_writer: JobWriter, job: JobRecord) -> Callable[[int, int], None]:
    """Publish the columns of the running job from `start` up to `stop`."""

    def publish(start: int, stop: int) -> None:
        header = PeaksHeader(stems=STEMS, total=10, start=start)
        document = Peaks(header, COLUMNS[6 * start : 6 * stop]).write()
        job_writer.stems.write(peaks_preview_key(job.key, start), document, PEAKS_TYPE)

    return publish


@pytest.fixture
def done(client: WebClient, job_writer: JobWriter, job: JobRecord) -> JobRecord:
    """The job, done, with peaks."""
    record = job_writer.finish(job, FILES, ALL)
    wait_for_state(client, job, JobState.DONE)
    return record


def wait_for_state(client: WebClient, job: JobRecord, state: JobState) -> None:
    wait_until(lambda: client.get(f"/apiv1/jobs/{job.id}").json["state"] == state)


def get(client: WebClient, job: JobRecord, query: str = "", **headers: str) -> Any:
    return client.get(f"/apiv1/jobs/{job.id}/peaks{query}", headers=headers)


def peaks(client: WebClient, job: JobRecord, query: str = "") -> Peaks:
    response = get(client, job, query)
    assert (response.status_code, response.content_type) == (200, PEAKS_TYPE)
    return Peaks.read(response.data)


def test_a_job_without_columns_has_an_empty_answer(client: WebClient, job: JobRecord) -> None:
    assert peaks(client, job) == Peaks(PeaksHeader(stems=[], total=0), b"")
    assert peaks(client, job, "?from=7") == Peaks(PeaksHeader(stems=[], total=0), b"")


def test_the_columns_of_a_running_job_grow(
    client: WebClient, job: JobRecord, publish: Callable[[int, int], None]
) -> None:
    publish(0, 3)
    found = peaks(client, job)
    assert found == Peaks(PeaksHeader(stems=STEMS, total=10), COLUMNS[:18])
    publish(3, 7)
    more = peaks(client, job, f"?from={found.stop}")
    assert (more.header.start, more.columns) == (3, COLUMNS[18:42])
    assert peaks(client, job).columns == COLUMNS[:42]
    assert not more.header.final


@pytest.mark.parametrize(
    ("first", "start", "columns"),
    [
        (0, 0, COLUMNS[:42]),
        (1, 1, COLUMNS[6:42]),
        (2, 2, COLUMNS[12:42]),
        (4, 4, COLUMNS[24:42]),
        (6, 6, COLUMNS[36:42]),
        (7, 7, b""),
        (999_999_999, 7, b""),
    ],
)
def test_columns_of_a_running_job_from_any_on(
    client: WebClient,
    job: JobRecord,
    publish: Callable[[int, int], None],
    first: int,
    start: int,
    columns: bytes,
) -> None:
    for chunk in ((0, 3), (3, 5), (5, 7)):
        publish(*chunk)
    found = peaks(client, job, f"?from={first}")
    assert (found.header.start, found.columns) == (start, columns)


def test_columns_behind_a_gap_are_not_sent(
    client: WebClient, job: JobRecord, publish: Callable[[int, int], None]
) -> None:
    publish(0, 3)
    publish(5, 7)
    assert peaks(client, job).stop == 3


def test_columns_that_cannot_be_read_are_not_sent(
    client: WebClient,
    job: JobRecord,
    job_writer: JobWriter,
    publish: Callable[[int, int], None],
) -> None:
    publish(0, 3)
    job_writer.stems.write(peaks_preview_key(job.key, 3), b"no peaks", PEAKS_TYPE)
    job_writer.stems.write(f"{job.key}/.live/peaks/readme", b"no peaks", PEAKS_TYPE)
    assert peaks(client, job).stop == 3


def test_the_answer_of_a_running_job_is_not_stored(client: WebClient, job: JobRecord) -> None:
    response = get(client, job)
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers


def test_a_done_job_has_all_columns(client: WebClient, done: JobRecord) -> None:
    assert peaks(client, done) == ALL
    later = peaks(client, done, "?from=8")
    assert (later.header.start, later.header.final, later.columns) == (8, True, COLUMNS[48:])
    assert peaks(client, done, "?from=50").columns == b""


def test_the_song_can_be_named_by_its_hash(client: WebClient, job_writer: JobWriter) -> None:
    name = uuid.uuid4().hex * 2
    record = job_writer.finish(new_job(f"{name}.mp3"), FILES, ALL)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 200)
    assert Peaks.read(client.get(f"/apiv1/jobs/{name}/peaks").data) == ALL


def test_an_unchanged_document_is_not_sent_again(client: WebClient, done: JobRecord) -> None:
    first = get(client, done)
    again = get(client, done, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert get(client, done, "?from=1", **{"If-None-Match": first.headers["ETag"]}).data


def test_columns_of_another_job_of_the_song_are_not_sent(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    job_writer.write_stems(done.key, FILES, job="f" * 32, peaks=ALL)
    assert get(client, done).json["type"].endswith(":no-peaks")


@pytest.mark.parametrize("document", [None, b"no peaks"])
def test_peaks_that_are_gone_or_unreadable_are_none(
    client: WebClient, done: JobRecord, job_writer: JobWriter, document: bytes | None
) -> None:
    key = f"{done.key}/peaks.bin"
    job_writer.stems.remove(key)
    if document:
        job_writer.stems.write(key, document, PEAKS_TYPE)
    response = get(client, done)
    assert (response.status_code, response.json["type"]) == (
        404,
        "urn:micro-demucs:problem:no-peaks",
    )


def test_stems_of_an_older_version_have_no_peaks(
    client: WebClient, job_writer: JobWriter, job: JobRecord
) -> None:
    job_writer.finish(job, FILES)
    wait_for_state(client, job, JobState.DONE)
    assert get(client, job).json["type"].endswith(":no-peaks")


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED])
def test_a_job_without_stems_has_no_peaks(
    client: WebClient, job_writer: JobWriter, job: JobRecord, state: JobState
) -> None:
    job_writer.write_record(job, state=state)
    wait_for_state(client, job, state)
    assert get(client, job).json["type"].endswith(":not-separated")
    assert "peaks" not in client.get(f"/apiv1/jobs/{job.id}").json["links"]


def test_removed_results_have_no_peaks(client: WebClient, done: JobRecord) -> None:
    client.delete(f"/apiv1/jobs/{done.id}")
    assert get(client, done).json["type"].endswith(":no-peaks")
    assert "peaks" not in client.get(f"/apiv1/jobs/{done.id}").json["links"]


@pytest.mark.parametrize(
    "query", ["from=-1", "from=x", "from=1e3", "from=1_0", "from=²", "from=", "to=3"]
)
def test_a_bad_parameter_is_named(client: WebClient, job: JobRecord, query: str) -> None:
    response = get(client, job, f"?{query}")
    assert (response.status_code, response.json["member"]) == (422, query.partition("=")[0])


def test_an_unknown_job_has_no_peaks(client: WebClient) -> None:
    assert client.get("/apiv1/jobs/nobody/peaks").status_code == 404


def test_peaks_are_removed_with_the_last_stem(
    client: WebClient, done: JobRecord, job_writer: JobWriter
) -> None:
    assert client.delete(f"/apiv1/remove/{done.id}/drums").status_code == 200
    assert peaks(client, done) == ALL
    assert client.delete(f"/apiv1/remove/{done.id}/bass").status_code == 200
    assert job_writer.stems.read(f"{done.key}/peaks.bin") is None
