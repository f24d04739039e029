"""What only the real server shows: limits on a body, and answers before all of it has arrived."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import urllib3

JSON = {"Content-Type": "application/json"}


def connect(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)


def read_answer(client: http.client.HTTPConnection) -> tuple[int, dict[str, Any]]:
    response = client.getresponse()
    return response.status, json.loads(response.read())


def test_a_body_with_too_large_a_length_is_rejected_before_it_is_sent(process: str) -> None:
    client = connect(process)
    client.putrequest("POST", "/apiv1/separate")
    for name, value in (JSON | {"Content-Length": "200000000"}).items():
        client.putheader(name, value)
    client.endheaders()
    status, problem = read_answer(client)  # although nothing of the body was sent
    assert (status, problem["type"]) == (413, "urn:micro-demucs:problem:body-too-large")
    assert problem["limit"] == 300_000 * 8 // 5 + 2**20
    assert problem["detail"].startswith("it has 200000000 bytes; at most")
    client.close()


def test_endless_chunks_are_rejected_at_the_limit(process: str) -> None:
    client = connect(process)
    client.putrequest("POST", "/apiv1/separate")
    for name, value in (JSON | {"Transfer-Encoding": "chunked"}).items():
        client.putheader(name, value)
    client.endheaders()
    client.send(b"8\r\n" + b'{"mp3":"' + b"\r\n")
    for _ in range(40):  # 800,000 characters; the last chunk never comes
        client.send(b"4e20\r\n" + b"QUJD" * 5000 + b"\r\n")
    status, problem = read_answer(client)
    assert (status, problem["type"]) == (413, "urn:micro-demucs:problem:too-large")
    client.close()


def test_a_client_that_sends_everything_before_it_reads_gets_the_rejection(process: str) -> None:
    body = b'{"mp3": "' + b"QUJD" * 500_000 + b'"}'
    response = urllib3.request("POST", f"{process}/apiv1/separate", body=body, headers=JSON)
    assert response.status == 413


def test_the_connection_serves_the_next_request_after_a_rejection(process: str) -> None:
    client = connect(process)
    client.request("POST", "/apiv1/uploads", b"x" * 900_000, {"Content-Type": "text/plain"})
    assert read_answer(client)[0] == 415
    client.request("GET", "/apiv1/queue")
    assert read_answer(client)[0] == 200
    client.close()
