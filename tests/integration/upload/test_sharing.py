import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import urllib3

from functions.upload.share_links import Grant, ShareLinks
from microdemucs.jobs import JobRecord
from microdemucs.peaks import Peaks, PeaksHeader
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

SECRET = "the-secret-of-share-links"
OWNER = {"Authorization": "Bearer t"}
STEMS = {"drums.mp3": b"drums", "vocals.mp3": b"vocals"}


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., WebClient]) -> WebClient:
    """A client of a deployment that needs a token."""
    return serve(HOST="0.0.0.0", API_TOKENS="t", SHARE_SECRETS=SECRET)


@pytest.fixture(scope="module")
def done(guarded: WebClient, job_writer: JobWriter) -> JobRecord:
    """A job with stems and peaks."""
    peaks = Peaks(PeaksHeader(stems=["drums", "vocals"], total=1, final=True), bytes(6))
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), STEMS, peaks)
    path = f"/apiv1/jobs/{record.id}"
    wait_until(lambda: guarded.get(path, headers=OWNER).json.get("state") == "done")
    return record


@pytest.fixture(scope="module")
def token(guarded: WebClient, done: JobRecord) -> str:
    return share(guarded, done).json["token"]


def share(client: WebClient, job: JobRecord, **body: Any) -> Any:
    return client.post(f"/apiv1/jobs/{job.id}/share", json=body, headers=OWNER)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def kind(response: Any) -> str:
    return str(response.json["type"].rpartition(":")[2])


def sign(job: str, expires: float) -> str:
    return ShareLinks([SECRET]).sign(Grant(job, int(expires)))


def test_a_link_has_a_token_behind_the_hash_and_an_end(guarded: WebClient, done: JobRecord) -> None:
    response = share(guarded, done, hours=2)
    assert response.status_code == 201
    assert response.json["url"] == f"/shared#job={done.id}&token={response.json['token']}"
    grant = ShareLinks([SECRET]).read(response.json["token"], time.time())
    assert grant.job == done.id
    assert 7000 < grant.expires - time.time() < 7300


def test_without_a_body_a_link_lasts_a_week(guarded: WebClient, done: JobRecord) -> None:
    response = guarded.post(f"/apiv1/jobs/{done.id}/share", headers=OWNER)
    grant = ShareLinks([SECRET]).read(response.json["token"], time.time())
    assert 6.9 * 86400 < grant.expires - time.time() < 7.1 * 86400


@pytest.mark.parametrize("hours", [0, -1, 8761, "2", True, None, [1]])
def test_hours_that_are_not_accepted_are_refused(
    guarded: WebClient, done: JobRecord, hours: Any
) -> None:
    response = share(guarded, done, hours=hours)
    assert (response.status_code, kind(response)) == (422, "bad-value")


def test_an_unfinished_job_cannot_be_shared(guarded: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4().hex}.mp3"))
    wait_until(lambda: kind(share(guarded, record)) == "not-separated")


@pytest.mark.parametrize("path", ["", "/peaks", "/stems.zip"])
def test_the_token_opens_the_job_as_bearer_and_as_parameter(
    guarded: WebClient, done: JobRecord, token: str, path: str
) -> None:
    url = f"/apiv1/jobs/{done.id}{path}"
    assert guarded.get(url, headers=bearer(token)).status_code == 200
    assert guarded.get(f"{url}?share={token}").status_code == 200
    assert guarded.head(f"{url}?share={token}").status_code == 200
    assert guarded.get(url).status_code == 401


def test_the_token_opens_the_links_of_the_shared_job(
    guarded: WebClient, done: JobRecord, token: str
) -> None:
    job = guarded.get(f"/apiv1/jobs/{done.id}", headers=bearer(token)).json
    for stem in job["stems"]:
        assert guarded.get(stem["url"], headers=bearer(token)).data == STEMS[stem["file"]]
        assert urllib3.request("GET", stem["download"]).data == STEMS[stem["file"]]
    for path in job["links"].values():
        assert guarded.get(path, headers=bearer(token)).status_code == 200


def test_the_shared_job_shows_nothing_of_its_owner(
    guarded: WebClient, done: JobRecord, token: str
) -> None:
    job = guarded.get(f"/apiv1/jobs/{done.id}", headers=bearer(token)).json
    hidden = {"bucket", "etag", "version", "submitter", "trace", "problem", "position", "estimate"}
    assert not hidden & job.keys()


def test_links_to_stems_end_with_the_share_link(guarded: WebClient, done: JobRecord) -> None:
    short = sign(done.id, time.time() + 100)
    [stem, _] = guarded.get(f"/apiv1/jobs/{done.id}", headers=bearer(short)).json["stems"]
    seconds = int(stem["download"].partition("X-Amz-Expires=")[2].partition("&")[0])
    assert 0 < seconds <= 100


def is_refused(response: Any) -> bool:
    return (response.status_code, kind(response)) == (403, "bad-share-link")


def test_the_token_of_one_job_does_not_open_another_one(
    guarded: WebClient, job_writer: JobWriter, token: str
) -> None:
    other = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), STEMS)
    path = f"/apiv1/jobs/{other.id}"
    wait_until(lambda: guarded.get(path, headers=OWNER).json.get("state") == "done")
    for url in (path, f"{path}/stems.zip", f"/apiv1/track/{other.id}/drums"):
        assert is_refused(guarded.get(url, headers=bearer(token)))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/apiv1/jobs/{id}"),
        ("POST", "/apiv1/jobs/{id}/retry"),
        ("POST", "/apiv1/jobs/{id}/share"),
        ("DELETE", "/apiv1/remove/{id}/drums"),
        ("GET", "/apiv1/remove/{id}/drums"),
        ("GET", "/apiv1/jobs/{id}/events"),
        ("GET", "/apiv1/jobs/{id}/live/drums"),
        ("GET", "/apiv1/jobs"),
        ("GET", "/apiv1/queue"),
        ("GET", "/apiv1/events?jobs={id}"),
        ("GET", "/apiv1/webhooks"),
        ("POST", "/apiv1/webhooks"),
        ("GET", "/apiv1/admin/health"),
        ("POST", "/apiv1/separate"),
        ("GET", "/apiv1/nothing"),
    ],
)
def test_the_token_changes_nothing_and_shows_nothing_else(
    guarded: WebClient, done: JobRecord, token: str, method: str, path: str
) -> None:
    response = guarded.open(path.format(id=done.id), method=method, headers=bearer(token))
    assert is_refused(response)
    assert guarded.get(f"/apiv1/track/{done.id}/drums", headers=OWNER).data == b"drums"


def test_an_expired_token_is_refused_and_the_problem_says_so(
    guarded: WebClient, done: JobRecord
) -> None:
    expired = sign(done.id, time.time() - 1)
    response = guarded.get(f"/apiv1/jobs/{done.id}?share={expired}")
    assert is_refused(response)
    assert "expired" in response.json["detail"]


def test_a_forged_token_is_refused(guarded: WebClient, done: JobRecord) -> None:
    grant = Grant(done.id, 2**40)
    for forged in (ShareLinks(["another secret 012345"]).sign(grant), "share_", "t"):
        assert is_refused(guarded.get(f"/apiv1/jobs/{done.id}?share={forged}"))


def test_without_tokens_a_share_link_still_shows_only_its_job(
    client: WebClient, done: JobRecord
) -> None:
    wait_until(lambda: client.get(f"/apiv1/jobs/{done.id}").status_code == 200)
    token = client.post(f"/apiv1/jobs/{done.id}/share").json["token"]
    assert client.get(f"/apiv1/jobs/{done.id}", headers=bearer(token)).status_code == 200
    assert is_refused(client.get("/apiv1/jobs", headers=bearer(token)))


def is_open(client: WebClient, path: str) -> bool:
    return client.get(path, headers=OWNER).status_code == 200


def test_all_processes_accept_a_link_without_a_setting(
    serve: Callable[..., WebClient], done: JobRecord
) -> None:
    first, second = (serve(HOST="0.0.0.0", API_TOKENS="t") for _ in range(2))
    path = f"/apiv1/jobs/{done.id}"
    for each in (first, second):
        wait_until(partial(is_open, each, path))
    token = share(first, done).json["token"]
    assert second.get(path, headers=bearer(token)).status_code == 200


def test_a_new_secret_beside_the_old_one_keeps_old_links(
    serve: Callable[..., WebClient], done: JobRecord, token: str
) -> None:
    rotated = serve(HOST="0.0.0.0", API_TOKENS="t", SHARE_SECRETS=f"a-new-secret-of-links,{SECRET}")
    replaced = serve(HOST="0.0.0.0", API_TOKENS="t", SHARE_SECRETS="a-new-secret-of-links")
    path = f"/apiv1/jobs/{done.id}"
    wait_until(lambda: rotated.get(path, headers=bearer(token)).status_code == 200)
    assert is_refused(replaced.get(path, headers=bearer(token)))


def test_a_closed_api_is_not_opened_by_a_share_link(
    serve: Callable[..., WebClient], done: JobRecord, token: str
) -> None:
    closed = serve(HOST="0.0.0.0", SHARE_SECRETS=SECRET)
    assert closed.get(f"/apiv1/jobs/{done.id}", headers=bearer(token)).status_code == 401


def test_stems_of_a_later_job_of_the_same_song_are_not_shown(
    guarded: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), STEMS)
    path = f"/apiv1/jobs/{record.id}"
    wait_until(partial(is_open, guarded, path))
    token = share(guarded, record).json["token"]
    job_writer.write_stems(record.key, STEMS, job="1" * 32)
    assert guarded.get(path, headers=bearer(token)).json["stems"] == []
    response = guarded.get(f"/apiv1/track/{record.id}/drums", headers=bearer(token))
    assert (response.status_code, kind(response)) == (404, "track-removed")
