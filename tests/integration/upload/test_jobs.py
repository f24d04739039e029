import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from msgspec import structs

from functions.upload.jobs_view import change_record
from microdemucs.bus import CANCELS, JOBS, Entry
from microdemucs.jobs import JobRecord, JobState
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient


def wait_for_state(client: WebClient, record: JobRecord, state: JobState) -> None:
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").json.get("state") == state)


def ids(response: Any) -> list[str]:
    return [job["id"] for job in response.json["jobs"]]


def test_a_job_has_its_stems_and_links(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.finish(new_job("my/söng 1.mp3", format="flac"), {"drums.flac": b"dr"})
    wait_for_state(client, record, JobState.DONE)
    job = client.get(f"/apiv1/jobs/{record.id}").json
    assert job["hash"] == record.id
    assert job["options"] == {"format": "flac"}
    assert job["links"] == {
        "self": f"/apiv1/jobs/{record.id}",
        "events": f"/apiv1/jobs/{record.id}/events",
        "peaks": f"/apiv1/jobs/{record.id}/peaks",
        "zip": f"/apiv1/jobs/{record.id}/stems.zip",
    }
    [stem] = job["stems"]
    assert (stem["name"], stem["file"]) == ("drums", "drums.flac")
    assert client.get(stem["url"]).data == b"dr"
    download = urllib3.request("GET", stem["download"])
    assert download.data == b"dr"
    assert "s%C3%B6ng%201%20-%20drums.flac" in download.headers["Content-Disposition"]


def test_download_links_use_the_public_address_and_expire_as_set(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    client = serve(LINK_HOURS="2", STORE_PUBLIC_URL="https://store.example")
    record = job_writer.finish(new_job(f"{uuid.uuid4()}.mp3"), {"bass.mp3": b"b"})
    wait_for_state(client, record, JobState.DONE)
    link = urlsplit(client.get(f"/apiv1/jobs/{record.id}").json["stems"][0]["download"])
    assert (link.scheme, link.netloc) == ("https", "store.example")
    assert parse_qs(link.query)["X-Amz-Expires"] == ["7200"]


def test_an_upload_id_and_a_hash_name_the_current_job_of_their_song(
    client: WebClient, job_writer: JobWriter
) -> None:
    upload, hash_ = uuid.uuid4().hex, uuid.uuid4().hex * 2
    for name, key in ((upload, f"form/{upload}/a.mp3"), (hash_, f"{hash_}.mp3")):
        first = job_writer.write_record(new_job(key), state=JobState.SUPERSEDED)
        second = job_writer.write_record(new_job(key, format="flac"), state=JobState.RUNNING)
        wait_for_state(client, second, JobState.RUNNING)
        assert client.get(f"/apiv1/jobs/{name}").json["id"] == second.id
        job_writer.write_record(second, state=JobState.DONE, updated="2026-01-01T00:00:00Z")
        job_writer.write_record(first, state=JobState.FAILED, updated="2026-01-02T00:00:00Z")
        wait_for_state(client, first, JobState.FAILED)
        assert client.get(f"/apiv1/jobs/{name}").json["id"] == first.id


@pytest.fixture(scope="module")
def listed(client: WebClient, job_writer: JobWriter) -> tuple[str, list[JobRecord]]:
    """Five jobs, oldest first, and the prefix of their keys."""
    prefix = f"list/{uuid.uuid4()}/"
    states = (JobState.DONE, JobState.FAILED, JobState.WAITING, JobState.DONE, JobState.RUNNING)
    jobs = [
        job_writer.write_record(
            new_job(f"{prefix}{n}.mp3"), created=f"2026-01-0{n}T00:00:00Z", state=state
        )
        for n, state in enumerate(states, start=1)
    ]
    wait_for_state(client, jobs[-1], JobState.RUNNING)
    return prefix, jobs


def test_jobs_are_listed_newest_first_page_by_page(
    client: WebClient, listed: tuple[str, list[JobRecord]]
) -> None:
    prefix, jobs = listed
    newest_first = [job.id for job in reversed(jobs)]
    pages, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/apiv1/jobs?prefix={prefix}&limit=2&cursor={cursor}")
        pages.append(ids(page))
        cursor = page.json["next"]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]


def test_jobs_are_filtered_by_state_and_key(
    client: WebClient, listed: tuple[str, list[JobRecord]]
) -> None:
    prefix, jobs = listed
    assert ids(client.get(f"/apiv1/jobs?prefix={prefix}&state=done")) == [jobs[3].id, jobs[0].id]
    assert len(ids(client.get(f"/apiv1/jobs?prefix={prefix}&state=failed,running"))) == 2
    assert ids(client.get(f"/apiv1/jobs?key={prefix}2.mp3")) == [jobs[1].id]
    assert ids(client.get("/apiv1/jobs?key=nowhere.mp3")) == []


@pytest.mark.parametrize(
    "query",
    [
        "state=ready",
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=-1",
        "limit=1_0",
        "cursor=%C3%A4",
        "cursor=x",
    ],
)
def test_a_bad_parameter_value_is_named(client: WebClient, query: str) -> None:
    response = client.get(f"/apiv1/jobs?{query}")
    assert (response.status_code, response.json["member"]) == (422, query.partition("=")[0])


def test_an_unknown_query_parameter_is_named_with_the_allowed_ones(client: WebClient) -> None:
    response = client.get("/apiv1/jobs?q=1")
    assert (response.status_code, response.json["member"]) == (422, "q")
    assert response.json["title"] == "Unknown query parameter"
    assert response.json["detail"] == (
        "'q' is not a parameter of this route; allowed: state, key, prefix, limit, cursor"
    )


def test_the_queue_has_waiting_and_running_songs_oldest_first(
    client: WebClient, job_writer: JobWriter
) -> None:
    hash_ = uuid.uuid4().hex * 2
    old = job_writer.write_record(
        new_job(f"{hash_}.mp3"), state=JobState.RUNNING, created="2020-01-01T00:00:00Z"
    )
    young = job_writer.write_record(new_job("queued.mp3"), created="2020-01-02T00:00:00Z")
    done = job_writer.write_record(new_job("finished.mp3"), state=JobState.DONE)
    wait_for_state(client, done, JobState.DONE)
    queue = client.get("/apiv1/queue").json["queue"]
    assert [name for name in queue if name in (hash_, young.id)] == [hash_, young.id]
    assert done.id not in queue
    job_writer.write_record(old, state=JobState.DONE)
    job_writer.write_record(young, state=JobState.CANCELLED)


def stored(job_writer: JobWriter, record: JobRecord) -> JobRecord:
    entry = job_writer.bus.get(JOBS, record.id)
    assert entry
    return JobRecord.read(entry.value or b"")


def test_a_waiting_job_is_cancelled_at_once(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.write_record(new_job("cancel-waiting.mp3"))
    wait_for_state(client, record, JobState.WAITING)
    response = client.delete(f"/apiv1/jobs/{record.id}")
    assert (response.status_code, response.json["state"]) == (202, JobState.CANCELLED)
    job = client.get(f"/apiv1/jobs/{record.id}").json
    requested = job_writer.bus.get(CANCELS, record.id)
    assert requested
    assert job["state"] == JobState.CANCELLED
    assert job["problem"]["type"] == "urn:micro-demucs:problem:cancelled"
    assert job["finished"] == job["problem"]["cancelled_at"] == (requested.value or b"").decode()
    assert record.id not in client.get("/apiv1/queue").json["queue"]


def test_a_running_job_says_that_a_cancel_was_requested(
    client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(
        new_job("cancel-running.mp3"), state=JobState.RUNNING, phase="separating"
    )
    wait_for_state(client, record, JobState.RUNNING)
    response = client.delete(f"/apiv1/jobs/{record.id}")
    assert (response.status_code, response.json["state"]) == (202, JobState.RUNNING)
    requested = job_writer.bus.get(CANCELS, record.id)
    assert requested
    job = client.get(f"/apiv1/jobs/{record.id}").json
    assert job["cancel_requested"] == (requested.value or b"").decode()
    job_writer.write_record(record, state=JobState.CANCELLED)


def test_a_divided_job_whose_ranges_all_wait_is_cancelled_at_once(
    client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(new_job("cancel-ranges.mp3"), state=JobState.RUNNING, phase="")
    wait_for_state(client, record, JobState.RUNNING)
    response = client.delete(f"/apiv1/jobs/{record.id}")
    assert (response.status_code, response.json["state"]) == (202, JobState.CANCELLED)
    assert job_writer.bus.get(CANCELS, record.id)
    assert record.id not in client.get("/apiv1/queue").json["queue"]


def test_a_cancel_of_a_job_that_has_just_finished_leaves_no_request(
    client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(new_job("cancel-late.mp3"), state=JobState.DONE)
    running = structs.replace(record, state=JobState.RUNNING, phase="uploading")
    jobs = client.application.extensions["context"]().jobs
    wait_for_state(client, record, JobState.DONE)
    jobs.apply_own_write(Entry(record.id, running.write(), 1 << 40))  # older than the bus knows
    assert client.delete(f"/apiv1/jobs/{record.id}").status_code == 202
    assert job_writer.bus.get(CANCELS, record.id) is None
    assert stored(job_writer, record).state == JobState.DONE


def test_another_write_of_the_record_at_the_same_time_is_kept(
    client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(new_job("cancel-conflict.mp3"))
    wait_for_state(client, record, JobState.WAITING)
    states: list[JobState] = []

    def change(record: JobRecord) -> bool:
        if not states:  # the job is begun just now
            job_writer.write_record(record, state=JobState.RUNNING)
        states.append(record.state)
        record.cancel_requested = "2026-01-01T00:00:00Z"
        return True

    ctx = client.application.extensions["context"]()
    assert change_record(ctx.bus, ctx.jobs, record.id, change)
    assert states == [JobState.WAITING, JobState.RUNNING]
    assert stored(job_writer, record).state == JobState.RUNNING
    job_writer.write_record(record, state=JobState.CANCELLED)


@pytest.mark.parametrize(
    "state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED]
)
def test_a_finished_job_is_not_cancelled_but_removed(
    client: WebClient, job_writer: JobWriter, state: JobState
) -> None:
    record = job_writer.write_record(new_job(f"finished-{state}.mp3"), state=state)
    wait_for_state(client, record, state)
    response = client.delete(f"/apiv1/jobs/{record.id}")
    assert (response.status_code, response.json["state"]) == (200, state)
    assert (response.json["reason"], response.json["song_removed"]) == ("removed", False)
    assert job_writer.bus.get(CANCELS, record.id) is None
    assert stored(job_writer, record).removed == response.json["removed"]


def test_the_song_of_an_unfinished_job_cannot_be_removed(
    client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.write_record(new_job("unfinished.mp3"))
    wait_for_state(client, record, JobState.WAITING)
    response = client.delete(f"/apiv1/jobs/{record.id}?song=true")
    assert (response.status_code, response.json["member"]) == (422, "song")
    assert stored(job_writer, record).state == JobState.WAITING


@pytest.mark.parametrize("method", ["get", "delete"])
@pytest.mark.parametrize("id_", ["0" * 32, "0" * 64, "x", "a.b", "*"])
def test_an_unknown_job_is_not_found(client: WebClient, method: str, id_: str) -> None:
    response = getattr(client, method)(f"/apiv1/jobs/{id_}")
    assert response.status_code == 404
    assert response.json["type"] == "urn:micro-demucs:problem:unknown-job"
    assert f"'{id_}'" in response.json["detail"]


def test_a_failed_job_has_its_problem(client: WebClient, job_writer: JobWriter) -> None:
    problem = {"type": "urn:micro-demucs:problem:not-audio", "title": "No audio", "status": 422}
    record = job_writer.write_record(
        new_job("no-audio.mp3"), state=JobState.FAILED, problem=problem
    )
    wait_for_state(client, record, JobState.FAILED)
    assert client.get(f"/apiv1/jobs/{record.id}").json["problem"] == problem
