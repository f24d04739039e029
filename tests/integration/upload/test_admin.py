from collections.abc import Callable

import pytest

from microdemucs.jobs import JobState
from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient


def test_health_has_what_the_process_works_with(client: WebClient) -> None:
    wait_until(lambda: client.get("/apiv1/admin/health").json["bus"]["up"])
    health = client.get("/apiv1/admin/health").json
    assert health["bus"]["version"].startswith("2.")
    assert health["store"] == {"up": True}
    assert 0 < health["disk"]["free_bytes"] <= health["disk"]["total_bytes"]
    assert health["uploads"]["used_bytes"] == 0
    assert health["streams"] == {"open": 0, "limit": 4}


def test_health_counts_jobs_by_state(client: WebClient, job_writer: JobWriter) -> None:
    def failed() -> int:
        count: int = client.get("/apiv1/admin/health").json["jobs"]["failed"]
        return count

    before = failed()
    job_writer.write_record(new_job("counted.mp3"), state=JobState.FAILED)
    wait_until(lambda: failed() == before + 1)


@pytest.mark.parametrize("setting", ["STORE_URL", "STEMS_BUCKET"])
def test_health_says_that_the_store_is_away(serve: Callable[..., WebClient], setting: str) -> None:
    value = "http://127.0.0.1:9" if setting == "STORE_URL" else "no-such-bucket"
    response = serve(**{setting: value}).get("/apiv1/admin/health")
    assert (response.status_code, response.json["store"]) == (200, {"up": False})


def test_health_says_that_the_bus_is_away(serve: Callable[..., WebClient]) -> None:
    response = serve(NATS_URL="nats://127.0.0.1:9").get("/apiv1/admin/health")
    assert (response.status_code, response.json["bus"]) == (200, {"up": False, "version": ""})


def test_health_needs_a_token_and_the_page_does_not(serve: Callable[..., WebClient]) -> None:
    client = serve(API_TOKENS="secret-token", HOST="0.0.0.0")
    assert client.get("/apiv1/admin/health").status_code == 401
    page = client.get("/admin")
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-cache")
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"].split("; ")


def test_health_is_for_no_page_of_another_site(client: WebClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.get("/apiv1/admin/health", headers=headers).status_code == 403
