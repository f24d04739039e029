"""Slow clients with real sockets: they do not stop a function, and are disconnected in time."""

import contextlib
import http.client
import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from testing.function_process import function_process
from testing.job_writer import JobWriter, new_job
from testing.stack import Stack
from testing.waiting import wait_until

MANY = 100
TRACK = bytes(8 * 2**20)  # more than the kernel keeps for a connection
PATIENT = {"HEADER_SECONDS": "600", "STALL_SECONDS": "600", "THREADS": "4"}
"""The limits do not help here: only because they wait for no client, the threads are enough."""

Connect = Callable[[str], socket.socket]


@pytest.fixture(scope="module")
def job_writer(stack: Stack) -> Iterator[JobWriter]:
    writer = JobWriter.connect(stack)
    yield writer
    writer.bus.close()


@pytest.fixture(scope="module")
def serve(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[str]]:
    """Serve upload with these settings; the URL is that of the process."""

    def serve(**settings: str) -> AbstractContextManager[str]:
        return stack.serve("upload", tmp_path_factory.mktemp("upload") / "output", **settings)

    return serve


@pytest.fixture(scope="module")
def patient(serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """A process with four threads that waits ten minutes for a client."""
    with serve(**PATIENT) as url:
        yield url


@pytest.fixture(scope="module")
def strict(serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """A process that waits at most two seconds for a client."""
    limits = {"HEADER_SECONDS": "2", "STALL_SECONDS": "2", "MIN_BYTES_PER_SECOND": "100000"}
    with serve(**limits) as url:
        yield url


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect to a URL; all connections are closed at the end."""
    with ExitStack() as connections:

        def connect(url: str) -> socket.socket:
            address = urlsplit(url)
            connection = socket.create_connection((address.hostname, address.port), 30)
            return connections.enter_context(connection)

        yield connect


def request_bytes(method: str, path: str, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


def problem_in(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head, answer
    assert b"nosniff" in head
    problem: dict[str, Any] = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    return problem


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed the connection; what it sent need not be read."""
    poller = select.poll()
    poller.register(connection, select.POLLRDHUP)
    return bool(poller.poll(0))


def assert_serves(url: str) -> None:
    """Probes, page, API and an upload are answered."""
    for path in ("/healthz", "/readyz", "/", "/apiv1/queue"):
        assert urllib3.request("GET", url + path, timeout=30, retries=False).status == 200, path
    song = urllib3.request(
        "POST",
        f"{url}/apiv1/separate",
        body=b"a song",
        headers={"Content-Type": "audio/mpeg"},
        timeout=30,
        retries=False,
    )
    assert song.status == 200


SLOW_REQUESTS = {
    "nothing": b"",
    "half of the headers": b"GET /apiv1/queue HT",
    "no end of the headers": b"GET /apiv1/queue HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "half of a song": request_bytes(
        "POST", "/apiv1/separate", Content_Type="audio/mpeg", Content_Length="1000000"
    )
    + b"half",
    "half of a document": request_bytes(
        "POST", "/apiv1/uploads", Content_Type="application/json", Content_Length="1000"
    )
    + b"{",
    "half of a chunk": request_bytes(
        "POST", "/apiv1/separate", Content_Type="audio/mpeg", Transfer_Encoding="chunked"
    )
    + b"100\r\nhalf",
    "half of a rejected body": request_bytes(
        "POST", "/apiv1/nothing", Content_Type="audio/mpeg", Content_Length="1000000"
    )
    + b"half",
    "no close after the answer": request_bytes("GET", "/healthz", Connection="close"),
}


@pytest.mark.parametrize("sent", SLOW_REQUESTS.values(), ids=SLOW_REQUESTS)
def test_slow_clients_do_not_stop_the_others(patient: str, connect: Connect, sent: bytes) -> None:
    for _ in range(MANY):
        connect(patient).sendall(sent)
    assert_serves(patient)


def test_clients_that_trickle_do_not_stop_the_others(patient: str, connect: Connect) -> None:
    connections = [connect(patient) for _ in range(MANY)]
    body = request_bytes(
        "POST", "/apiv1/separate", Content_Type="audio/mpeg", Content_Length="1000000"
    )
    for connection in connections:
        connection.sendall(body)
    ended = threading.Event()

    def trickle() -> None:
        while not ended.wait(0.05):
            for connection in connections:
                connection.send(b".")

    client = threading.Thread(target=trickle)
    client.start()
    try:
        assert_serves(patient)
    finally:
        ended.set()
        client.join()


@pytest.fixture(scope="module")
def track(job_writer: JobWriter, patient: str) -> str:
    """The path of a large stem."""
    record = job_writer.finish(new_job("slow-readers.mp3"), {"drums.mp3": TRACK})
    path = f"/apiv1/track/{record.id}/drums"
    wait_until(lambda: urllib3.request("HEAD", patient + path).status == 200)
    return path


@pytest.mark.parametrize("route", ["track", "zip"])
def test_slow_readers_of_a_download_do_not_stop_the_others(
    patient: str, connect: Connect, track: str, route: str
) -> None:
    path = track if route == "track" else f"/apiv1/jobs/{track.split('/')[3]}/stems.zip"
    for _ in range(MANY):
        connection = connect(patient)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request_bytes("GET", path))
        assert connection.recv(9) == b"HTTP/1.1 "
    assert_serves(patient)
    response = urllib3.request("GET", patient + path, timeout=60)
    assert TRACK in response.data


@pytest.mark.parametrize("route", ["live/drums", "events"])
def test_slow_readers_of_streams_do_not_stop_the_others(
    patient: str, connect: Connect, track: str, route: str
) -> None:
    path = f"/apiv1/jobs/{track.split('/')[3]}/{route}"
    for _ in range(MANY):
        connection = connect(patient)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request_bytes("GET", path))
    assert_serves(patient)

    def can_stream() -> bool:
        response = urllib3.request("GET", patient + path, timeout=60, retries=False)
        return response.status == 200

    wait_until(can_stream, 60, "a stream makes room")


def test_headers_have_a_deadline(strict: str, connect: Connect) -> None:
    silent, started = connect(strict), connect(strict)
    started.sendall(b"GET /apiv1/queue HTTP/1.1\r\n")
    problem = problem_in(read_all(started))
    assert (problem["status"], problem["title"]) == (408, "The headers arrive too slowly")
    assert problem["type"] == "urn:micro-demucs:problem:slow-client"
    assert read_all(silent) == b""


@pytest.mark.parametrize(
    ("head", "trickled"),
    [
        (b"GET /apiv1/queue HTTP/1.1\r\nX: ", b"y"),
        (
            request_bytes(
                "POST", "/apiv1/separate", Content_Type="audio/mpeg", Content_Length="1000000"
            ),
            b".",
        ),
        (
            request_bytes(
                "POST", "/apiv1/uploads", Content_Type="application/json", Content_Length="1000000"
            ),
            b" ",
        ),
        (
            request_bytes(
                "POST", "/apiv1/separate", Content_Type="audio/mpeg", Transfer_Encoding="chunked"
            ),
            b"1\r\n.\r\n",
        ),
    ],
    ids=["headers", "song", "document", "chunks"],
)
def test_a_client_that_trickles_is_disconnected(
    strict: str, connect: Connect, head: bytes, trickled: bytes
) -> None:
    connection = connect(strict)
    connection.sendall(head)
    ended = threading.Event()

    def trickle() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.02):
                connection.send(trickled)

    client = threading.Thread(target=trickle)
    client.start()
    try:
        problem = problem_in(read_all(connection))
    finally:
        ended.set()
        client.join()
    assert (problem["status"], problem["type"]) == (408, "urn:micro-demucs:problem:slow-client")


def test_a_client_that_does_not_read_its_track_is_disconnected(
    strict: str, connect: Connect, track: str
) -> None:
    connection = connect(strict)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(request_bytes("GET", track))
    wait_until(lambda: is_closed(connection), 30, "the server has closed the connection")


def test_a_patient_reader_gets_all_of_its_track(strict: str, track: str) -> None:
    response = urllib3.request("GET", strict + track, preload_content=False, timeout=60)
    assert sum(map(len, response.stream(1000))) == len(TRACK)


def test_at_the_limit_of_connections_the_oldest_makes_room(
    serve: Callable[..., AbstractContextManager[str]], connect: Connect
) -> None:
    with serve(**PATIENT, CONNECTIONS="8") as url:
        slow = [connect(url) for _ in range(40)]
        for connection in slow:
            connection.sendall(b"GET / HT")
        assert_serves(url)
        wait_until(lambda: is_closed(slow[0]), 30, "the oldest connection is closed")


def test_at_the_limit_a_new_connection_is_not_closed_for_a_slow_one(
    serve: Callable[..., AbstractContextManager[str]], connect: Connect, track: str
) -> None:
    # some requests never end, so that only the end of the grace period ends the process
    with serve(**PATIENT, CONNECTIONS="8", GRACE_SECONDS="1") as url:
        for sent in (SLOW_REQUESTS["half of a song"], request_bytes("GET", track)):
            for _ in range(40):
                connect(url).sendall(sent)
            for _ in range(10):  # each on a connection of its own
                with urllib3.PoolManager() as pool:
                    assert pool.request("GET", f"{url}/healthz", retries=False).status == 200
            assert_serves(url)


def test_connections_leave_some_of_the_open_files_to_the_requests(
    stack: Stack, tmp_path: Path, connect: Connect
) -> None:
    few_files = [
        "bash",
        "-c",
        f"ulimit -n 100; exec {sys.executable} -m microdemucs.service upload",
    ]
    with function_process(
        few_files, stack.connection("upload") | PATIENT, tmp_path / "o"
    ) as function:
        for _ in range(MANY):
            connect(function.url).sendall(b"GET / HT")
        assert_serves(function.url)


MALFORMED = {
    "request line": (b"NONSENSE\r\n\r\n", 400),
    "method": (b"GE T / HTTP/1.1\r\n\r\n", 400),
    "version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "line feed": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "header": (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "length and chunks": (
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "coding": (b"POST / HTTP/1.1\r\nTransfer-Encoding: tea\r\n\r\n", 501),
    "expectation": (b"GET / HTTP/1.1\r\nExpect: tea\r\n\r\n", 417),
    "long target": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
    "long header": (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    "endless headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, 431),
    "chunk": (
        b"POST /apiv1/separate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/mpeg\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        400,
    ),
}


@pytest.mark.parametrize(("sent", "status"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_answered_with_a_problem(
    patient: str, connect: Connect, sent: bytes, status: int
) -> None:
    connection = connect(patient)
    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    problem = problem_in(read_all(connection))
    assert (problem["status"], problem["type"]) == (status, "urn:micro-demucs:problem:http")


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "X_Y"])
def test_a_header_with_an_underscore_changes_nothing(patient: str, name: str) -> None:
    response = urllib3.request("GET", f"{patient}/apiv1/queue", headers={name: "/zz"})
    assert response.status == 200


def test_requests_may_come_before_the_answers(patient: str, connect: Connect) -> None:
    connection = connect(patient)
    one = request_bytes("GET", "/healthz")
    connection.sendall(one + one + one[:10])
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert response.read() == b'{"status":"alive"}\n'
    connection.sendall(one[10:].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert read_all(connection).endswith(b'{"status":"alive"}\n')


def test_a_stopping_process_waits_for_no_slow_client(
    stack: Stack, tmp_path: Path, connect: Connect
) -> None:
    with stack.serve("upload", tmp_path / "output", **PATIENT) as url:
        for sent in (b"", b"GET / HT", request_bytes("GET", "/healthz")):
            connect(url).sendall(sent)
        assert urllib3.request("GET", f"{url}/healthz").status == 200
    # The process has ended by itself: `serve` raises if it does not within 30 s.
