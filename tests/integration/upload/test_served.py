"""What only the real server shows: limits on what arrives, answers before all has arrived."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from base64 import b64encode
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
import urllib3

from local.ports import free_port
from microdemucs.paths import ROOT
from testing.waiting import wait_until
from tests.integration.upload.listening import lines

JSON = {"Content-Type": "application/json"}


def connect(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)


def answered(connection: http.client.HTTPConnection) -> tuple[int, dict]:
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_song_arrives_in_one_body_or_in_chunks(process, chunked):
    song = uuid.uuid4().bytes * 5000
    text = json.dumps({"mp3": b64encode(song).decode()}).encode()
    connection = connect(process)
    body = (text[n : n + 999] for n in range(0, len(text), 999)) if chunked else text
    connection.request("POST", "/apiv1/separate", body, JSON, encode_chunked=chunked)
    assert answered(connection) == (200, {"hash": sha256(song).hexdigest(), "reason": "queued"})
    connection.close()


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(process):
    connection = connect(process)
    connection.putrequest("POST", "/apiv1/separate")
    for name, value in (JSON | {"Content-Length": "200000000"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    status, problem = answered(connection)  # though nothing of the body was sent
    assert (status, problem["type"]) == (413, "urn:micro-demucs:problem:body-too-large")
    assert problem["limit"] == 300_000 * 8 // 5 + 2**20
    connection.close()


def test_chunks_without_end_are_refused_at_the_limit(process):
    connection = connect(process)
    connection.putrequest("POST", "/apiv1/separate")
    for name, value in (JSON | {"Transfer-Encoding": "chunked"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"8\r\n" + b'{"mp3":"' + b"\r\n")
    for _ in range(40):  # 800,000 characters; the last chunk never comes
        connection.send(b"4e20\r\n" + b"QUJD" * 5000 + b"\r\n")
    status, problem = answered(connection)
    assert (status, problem["type"]) == (413, "urn:micro-demucs:problem:too-large")
    connection.close()


def test_who_sends_all_before_listening_hears_the_refusal_too(process):
    body = b'{"mp3": "' + b"QUJD" * 500_000 + b'"}'
    answer = urllib3.request("POST", f"{process}/apiv1/separate", body=body, headers=JSON)
    assert answer.status == 413


def test_the_next_request_on_the_connection_is_understood_after_a_refusal(process):
    connection = connect(process)
    connection.request("POST", "/apiv1/uploads", b"x" * 900_000, {"Content-Type": "text/plain"})
    assert answered(connection)[0] == 415
    connection.request("GET", "/apiv1/queue")
    assert answered(connection)[0] == 200
    connection.close()


def test_a_song_that_breaks_off_leaves_nothing_behind(process, separation):
    song = uuid.uuid4().bytes * 1000
    text = json.dumps({"mp3": b64encode(song).decode()}).encode()
    with socket.create_connection((urlsplit(process).hostname, urlsplit(process).port)) as cut:
        head = f"POST /apiv1/separate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}"
        cut.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + text[:-100])
        cut.shutdown(socket.SHUT_WR)
        assert b" 400 " in cut.recv(100)
    assert not list(separation.store.list_objects("songs", prefix=sha256(song).hexdigest()))


def test_a_track_comes_in_part_and_whole_from_the_server(process, separation):
    hash_ = uuid.uuid4().hex * 2
    track = os.urandom(3_000_000)
    separation.writes(f"{hash_}.mp3", {"drums.mp3": track})
    url = f"{process}/apiv1/track/{hash_}/drums"
    assert urllib3.request("GET", url).data == track
    part = urllib3.request("GET", url, headers={"Range": "bytes=1000000-1999999"})
    assert (part.status, part.data) == (206, track[1_000_000:2_000_000])
    head = urllib3.request("HEAD", url)
    assert (head.headers["Content-Length"], head.data) == ("3000000", b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/apiv1/nothing", 404),
        ("GET", "/apiv1/separate", 405),
        ("PUT", "/apiv1/jobs", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_what_is_no_route_is_a_problem_too(process, method, path, status):
    answer = urllib3.request(method, process + path)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert ("Allow" in answer.headers) == (status == 405)


def test_sigterm_ends_open_streams_and_then_the_process(stack):
    port = free_port()
    env = stack.connection("upload") | {"HOST": "127.0.0.1", "PORT": str(port)}
    command = [sys.executable, "-m", "microdemucs.service", "upload"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | env) as function:
        url = f"http://127.0.0.1:{port}/apiv1/jobs/{uuid.uuid4().hex}/events"
        answers = []

        def open_stream() -> bool:
            try:
                answers.append(urllib3.request("GET", url, preload_content=False, retries=False))
            except urllib3.exceptions.HTTPError:
                return False
            return True

        try:
            wait_until(open_stream)
            listened = lines(answers[0].stream(1))
            assert next(listened) == "retry: 2000"
            function.send_signal(signal.SIGTERM)
            assert list(listened) == [""]
            assert function.wait(10) == 0
        finally:
            function.kill()
