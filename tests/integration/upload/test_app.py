import json
import logging
from collections.abc import Callable

import pytest
import urllib3

from testing.web_client import WebClient


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/apiv1/nothing", 404),
        ("GET", "/apiv1/separate", 405),
        ("PUT", "/apiv1/jobs", 405),
        ("POST", "/healthz", 405),
        ("TRACE", "/apiv1/queue", 405),
        # functions-framework has routes at these paths, or none.
        ("POST", "/robots.txt", 405),
        ("POST", "/favicon.ico", 405),
        ("GET", "/static/x", 404),
        ("POST", "/static/x", 404),
        ("GET", "/assets/nothing", 404),
        ("GET", "/nothing%0A", 404),
        ("GET", "/apiv1/jobs/a%0Ab", 404),
        ("GET", "/apiv1/track/%00/%0A", 404),
    ],
)
def test_an_unknown_route_or_method_is_a_problem(
    process: str, method: str, path: str, status: int
) -> None:
    response = urllib3.request(method, process + path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.json()["status"] == status
    content_type = response.headers["Content-Type"]
    assert (response.status, content_type) == (status, "application/problem+json")
    assert ("Allow" in response.headers) == (status == 405)


def test_an_answer_of_the_api_is_not_cached_and_its_type_not_guessed(client: WebClient) -> None:
    headers = client.get("/apiv1/queue").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_every_request_to_the_api_is_logged_without_its_query(
    client: WebClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "functions.upload.app"):
        client.get("/apiv1/jobs?key=private")
        client.get("/healthz")
    [line] = [record for record in caplog.records if record.name == "functions.upload.app"]
    assert line.getMessage() == "request answered"
    members = vars(line)
    assert (members["method"], members["path"], members["status"]) == ("GET", "/apiv1/jobs", 200)
    assert "private" not in json.dumps(members, default=str)


@pytest.mark.parametrize("host", ["[", "a b", "x:y", "..", ""])
def test_a_malformed_host_is_no_error_of_ours(process: str, host: str) -> None:
    response = urllib3.request("GET", f"{process}/apiv1/queue", headers={"Host": host})
    assert response.status in (400, 401)
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_long_body_of_a_rejected_request_is_not_kept(process: str) -> None:
    """functions-framework would read it into memory."""
    response = urllib3.request("POST", f"{process}/robots.txt", body=bytes(2_000_000))
    assert response.status == 405


def test_a_document_of_more_than_a_mebibyte_is_rejected(client: WebClient) -> None:
    response = client.post("/apiv1/uploads", json={"filename": "x" * 2**20})
    assert (response.status_code, response.json["limit"]) == (413, 2**20)
    assert response.json["detail"].endswith("at most 1048576 bytes are accepted")


def test_the_function_is_ready_if_store_and_bus_answer(client: WebClient) -> None:
    assert client.get("/readyz").json == {"status": "ready"}


def test_the_function_is_not_ready_without_the_output_bucket(
    serve: Callable[..., WebClient],
) -> None:
    response = serve(STEMS_BUCKET="no-such-bucket").get("/readyz")
    assert (response.status_code, response.json["status"]) == (503, 503)
    assert response.json["type"] == "urn:micro-demucs:problem:store-away"


def test_the_function_is_not_ready_without_the_store(serve: Callable[..., WebClient]) -> None:
    response = serve(STORE_URL="http://127.0.0.1:9").get("/readyz")
    assert response.status_code == 503
    assert response.json["type"] == "urn:micro-demucs:problem:store-away"
