import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from microdemucs.bus import CANCELS, JOBS
from microdemucs.jobs import JobState
from testing.waiting import wait_until
from tests.integration.upload.separated import a_job


def seen(client, record, state):
    """Wait until the app knows of it."""
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").json.get("state") == state)


def ids(answer) -> list[str]:
    return [job["id"] for job in answer.json["jobs"]]


def test_a_job_is_told_with_its_stems_and_where_to_go_from_it(client, separation):
    record = separation.separates(a_job("my/söng 1.mp3", format="flac"), {"drums.flac": b"dr"})
    seen(client, record, JobState.DONE)
    job = client.get(f"/apiv1/jobs/{record.id}").json
    assert job["hash"] == record.id
    assert job["options"] == {"format": "flac"}
    assert job["links"] == {
        "self": f"/apiv1/jobs/{record.id}",
        "events": f"/apiv1/jobs/{record.id}/events",
    }
    [stem] = job["stems"]
    assert (stem["name"], stem["file"]) == ("drums", "drums.flac")
    assert client.get(stem["url"]).data == b"dr"
    download = urllib3.request("GET", stem["download"])
    assert download.data == b"dr"
    assert "s%C3%B6ng%201%20-%20drums.flac" in download.headers["Content-Disposition"]


def test_links_hold_as_long_as_the_setting_says_and_lead_to_the_public_address(serve, separation):
    client = serve(LINK_HOURS="2", STORE_PUBLIC_URL="https://store.example")
    record = separation.separates(a_job(f"{uuid.uuid4()}.mp3"), {"bass.mp3": b"b"})
    seen(client, record, JobState.DONE)
    link = urlsplit(client.get(f"/apiv1/jobs/{record.id}").json["stems"][0]["download"])
    assert (link.scheme, link.netloc) == ("https", "store.example")
    assert parse_qs(link.query)["X-Amz-Expires"] == ["7200"]


def test_an_upload_and_a_hash_name_the_latest_job_of_their_song(client, separation):
    upload, hash_ = uuid.uuid4().hex, uuid.uuid4().hex * 2
    for name, key in ((upload, f"form/{upload}/a.mp3"), (hash_, f"{hash_}.mp3")):
        first = separation.tells(a_job(key), state=JobState.SUPERSEDED)
        second = separation.tells(a_job(key, format="flac"), state=JobState.RUNNING)
        seen(client, second, JobState.RUNNING)
        assert client.get(f"/apiv1/jobs/{name}").json["id"] == second.id
        separation.tells(second, state=JobState.DONE, updated="2026-01-01T00:00:00Z")
        separation.tells(first, state=JobState.FAILED, updated="2026-01-02T00:00:00Z")
        seen(client, first, JobState.FAILED)
        assert client.get(f"/apiv1/jobs/{name}").json["id"] == first.id


def test_jobs_are_listed_newest_first_page_by_page(client, separation):
    prefix = f"list/{uuid.uuid4()}/"
    made = [
        separation.tells(a_job(f"{prefix}{n}.mp3"), created=f"2026-01-0{n}T00:00:00Z", state=state)
        for n, state in enumerate(
            (JobState.DONE, JobState.FAILED, JobState.WAITING, JobState.DONE, JobState.RUNNING),
            start=1,
        )
    ]
    seen(client, made[-1], JobState.RUNNING)
    newest = [job.id for job in reversed(made)]
    pages, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/apiv1/jobs?prefix={prefix}&limit=2&cursor={cursor}")
        pages.append(ids(page))
        cursor = page.json["next"]
    assert pages == [newest[:2], newest[2:4], newest[4:]]
    assert ids(client.get(f"/apiv1/jobs?prefix={prefix}&state=done")) == [made[3].id, made[0].id]
    assert len(ids(client.get(f"/apiv1/jobs?prefix={prefix}&state=failed,running"))) == 2
    assert ids(client.get(f"/apiv1/jobs?key={prefix}2.mp3")) == [made[1].id]
    assert ids(client.get("/apiv1/jobs?key=nowhere.mp3")) == []


@pytest.mark.parametrize(
    "query",
    [
        "state=ready",
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=-1",
        "cursor=%C3%A4",
        "cursor=x",
        "q=1",
    ],
)
def test_a_parameter_that_is_not_accepted_is_named(client, query):
    answer = client.get(f"/apiv1/jobs?{query}")
    assert (answer.status_code, answer.json["member"]) == (422, query.partition("=")[0])


def test_the_queue_is_what_waits_or_runs_oldest_first(client, separation):
    hash_ = uuid.uuid4().hex * 2
    old = separation.tells(
        a_job(f"{hash_}.mp3"), state=JobState.RUNNING, created="2020-01-01T00:00:00Z"
    )
    young = separation.tells(a_job("queued.mp3"), created="2020-01-02T00:00:00Z")
    done = separation.tells(a_job("finished.mp3"), state=JobState.DONE)
    seen(client, done, JobState.DONE)
    queue = client.get("/apiv1/queue").json["queue"]
    assert queue[:2] == [hash_, young.id]
    assert done.id not in queue
    separation.tells(old, state=JobState.DONE)
    separation.tells(young, state=JobState.CANCELLED)


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.RUNNING])
def test_a_job_under_way_can_be_cancelled(client, separation, state):
    record = separation.tells(a_job(f"cancel-{state}.mp3"), state=state)
    seen(client, record, state)
    answer = client.delete(f"/apiv1/jobs/{record.id}")
    assert (answer.status_code, answer.json["state"]) == (202, state)
    assert separation.bus.get(CANCELS, record.id)
    separation.tells(record, state=JobState.CANCELLED)


@pytest.mark.parametrize(
    "state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED]
)
def test_a_finished_job_cannot_be_cancelled(client, separation, state):
    record = separation.tells(a_job(f"finished-{state}.mp3"), state=state)
    seen(client, record, state)
    answer = client.delete(f"/apiv1/jobs/{record.id}")
    assert (answer.status_code, answer.json["state"]) == (409, state)
    assert separation.bus.get(CANCELS, record.id) is None


@pytest.mark.parametrize("method", ["get", "delete"])
@pytest.mark.parametrize("id_", ["0" * 32, "0" * 64, "x", "a.b", "*"])
def test_an_unknown_job_is_not_found(client, method, id_):
    answer = getattr(client, method)(f"/apiv1/jobs/{id_}")
    assert (answer.status_code, answer.json["type"]) == (
        404,
        "urn:micro-demucs:problem:unknown-job",
    )


def test_a_job_that_is_forgotten_is_gone(client, separation):
    record = separation.tells(a_job("forgotten.mp3"), state=JobState.DONE)
    seen(client, record, JobState.DONE)
    separation.bus.delete(JOBS, record.id)
    wait_until(lambda: client.get(f"/apiv1/jobs/{record.id}").status_code == 404)


def test_a_record_that_nobody_can_read_harms_no_other(client, separation):
    separation.bus.put(JOBS, "broken", b"[]")
    record = separation.tells(a_job("after-broken.mp3"), state=JobState.DONE)
    seen(client, record, JobState.DONE)
    separation.bus.delete(JOBS, "broken")


def test_a_failed_job_tells_its_problem(client, separation):
    problem = {"type": "urn:micro-demucs:problem:not-audio", "title": "No audio", "status": 422}
    record = separation.tells(a_job("no-audio.mp3"), state=JobState.FAILED, problem=problem)
    seen(client, record, JobState.FAILED)
    assert client.get(f"/apiv1/jobs/{record.id}").json["problem"] == problem
