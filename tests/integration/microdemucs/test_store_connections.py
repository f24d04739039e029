"""A store that restarts, hangs, is slow or is not ready."""

import fcntl
import os
import signal
import socket
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from microdemucs import store_connections
from microdemucs.bucket import Bucket
from microdemucs.problems import RetryLater
from microdemucs.settings import StoreSettings
from microdemucs.store import connect
from microdemucs.store_connections import StoreConnections
from testing.stack import Stack, running_stack
from testing.waiting import wait_until


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A store that a test may stop."""
    with running_stack(tmp_path / "stack") as stack:
        yield stack


def stems_of(stack: Stack) -> Bucket:
    variables = stack.connection("separate")
    settings = StoreSettings(
        variables["STORE_URL"],
        access_key=variables["STORE_ACCESS_KEY"],
        secret_key=variables["STORE_SECRET_KEY"],
    )
    return Bucket(connect(settings), "stems")


@contextmanager
def in_background(action: Callable[[], object]) -> Iterator[Future[object]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(action)


def test_no_request_outlasts_a_restart_of_the_store_for_long(own_stack: Stack) -> None:
    stems, stop = stems_of(own_stack), threading.Event()
    rounds = [0] * 8

    def use(number: int) -> None:
        while not stop.is_set():
            try:
                stems.write(f"song/{number}", b"x" * 100_000, "audio/mpeg")
                stems.stat(f"song/{number}")
                stems.list("song/")
            except RetryLater:
                continue
            rounds[number] += 1

    with ThreadPoolExecutor(len(rounds)) as pool:
        users = [pool.submit(use, number) for number in range(len(rounds))]
        try:
            for _ in range(3):
                wait_until(lambda: all(rounds), 60)
                own_stack.kill("minio")
                own_stack.start("minio")
                own_stack.wait_for_store()
                rounds[:] = [0] * len(rounds)
                # MinIO asks for 60 s as long as it is not ready
                wait_until(lambda: all(rounds), 40, "every user has gone on")
        finally:
            stop.set()
        for user in users:
            user.result(60)


class NotReadyAtFirst(BaseHTTPRequestHandler):
    """Answers as MinIO does: while it starts, 503 with the wish that clients wait for a minute."""

    asked = 0

    def do_HEAD(self) -> None:
        """Answer whether a bucket exists."""
        type(self).asked += 1
        if self.asked < 3:
            self.send_response(503)
            self.send_header("Retry-After", "60")
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_a_store_that_is_not_ready_is_not_waited_for_as_long_as_it_asks() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), NotReadyAtFirst) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        bucket = Bucket(connect(StoreSettings(url, access_key="a", secret_key="b" * 8)), "stems")
        with in_background(bucket.exists) as answer:
            wait_until(answer.done, 40)
            assert answer.result() is True
        server.shutdown()
    assert NotReadyAtFirst.asked == 3


REQUESTS: dict[str, Callable[[Bucket], object]] = {
    "READ_S": lambda bucket: bucket.stat("song/a"),
    "WRITE_S": lambda bucket: bucket.write("song/a", b"b", "audio/mpeg"),
}


@pytest.mark.parametrize("limit", REQUESTS)
def test_a_store_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(store_connections, limit, 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        bucket = Bucket(connect(StoreSettings(url, access_key="a", secret_key="b" * 8)), "stems")
        with pytest.raises(RetryLater):
            REQUESTS[limit](bucket)
        listener.setblocking(False)
        with listener.accept()[0], pytest.raises(BlockingIOError):  # no other connection waits
            listener.accept()


@pytest.mark.parametrize("limit", REQUESTS)
def test_a_store_that_hangs_is_away_until_it_goes_on(
    own_stack: Stack, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    stems = stems_of(own_stack)
    stems.write("song/a", b"a", "audio/mpeg")
    monkeypatch.setattr(store_connections, limit, 2.0)
    process = own_stack.processes["minio"]
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(RetryLater):
            REQUESTS[limit](stems)
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    wait_until(lambda: succeeds(lambda: stems.stat("song/a")))


def succeeds(request: Callable[[], object]) -> bool:
    try:
        request()
    except RetryLater:
        return False
    return True


def waiting_bytes(connection: socket.socket) -> int:
    """Return how many bytes have arrived that nobody has read."""
    size = fcntl.ioctl(connection, termios.FIONREAD, bytes(4))
    return int.from_bytes(size, sys.byteorder)


def test_a_large_body_may_take_longer_than_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_connections, "CONNECT_S", 0.1)
    body = os.urandom(16 << 20)

    def send() -> int:
        response = StoreConnections().urlopen("PUT", url, body=body, headers={})
        return response.status

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answer = pool.submit(send)
        connection, _ = listener.accept()
        with connection:
            sizes: list[int] = []

            def is_stuck() -> bool:
                """The kernel's buffers have been full for 25 looks, five times CONNECT_S."""
                sizes.append(waiting_bytes(connection))
                return sizes[-25:].count(sizes[-1]) == 25

            wait_until(is_stuck)
            assert not answer.done()
            received = 0
            while received < len(body):
                data = connection.recv(1 << 20)
                assert data, "the client has given up"
                received += len(data)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert answer.result(30) == 204
