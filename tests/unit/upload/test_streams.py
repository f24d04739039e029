import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import flask
import pytest

from functions.upload.streams import Streams
from microdemucs.client_socket import ClientSocket, Patience
from microdemucs.problems import RetryLater
from testing.waiting import wait_until

OpenStream = Callable[[], tuple[ClientSocket, flask.Response]]


@pytest.fixture
def streams() -> Streams:
    """One stream at a time."""
    return Streams(1)


@contextmanager
def request_from(sock: ClientSocket | None = None) -> Iterator[None]:
    """A request that has arrived at this socket."""
    environ = {"gunicorn.socket": sock} if sock else {}
    with flask.Flask("test").test_request_context(environ_overrides=environ):
        yield


@pytest.fixture
def in_request() -> Iterator[None]:
    with request_from():
        yield


@pytest.fixture
def open_stream(streams: Streams) -> Iterator[OpenStream]:
    """Open a stream to a client that does not read."""
    with ExitStack() as ends:

        def open_stream() -> tuple[ClientSocket, flask.Response]:
            accepted, client = socket.socketpair()
            ends.enter_context(client)
            server = ends.enter_context(ClientSocket(accepted, Patience(600.0, 1000.0)))
            with request_from(server):
                return server, streams.response([], "audio/mpeg", "wait")

        yield open_stream


@pytest.mark.usefixtures("in_request")
def test_a_stream_counts_until_its_response_is_closed(streams: Streams) -> None:
    with streams.response([b"a", b"b"], "audio/mpeg", "wait") as response:
        assert response.data == b"ab"
        with pytest.raises(RetryLater, match=r"all 1 streams .* are in use: wait"):
            streams.response([], "audio/mpeg", "wait")
    streams.response([], "audio/mpeg", "wait").close()


@pytest.mark.usefixtures("in_request")
def test_an_error_while_a_stream_begins_uses_up_none(streams: Streams) -> None:
    for _ in range(3):
        with pytest.raises(AttributeError):
            streams.response([], 5, "wait")  # type: ignore[arg-type]
    streams.response([], "audio/mpeg", "wait").close()


@pytest.mark.usefixtures("in_request")
def test_a_proxy_is_asked_not_to_hold_the_stream_back(streams: Streams) -> None:
    with streams.response([], "text/event-stream", "poll") as response:
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.content_type == "text/event-stream; charset=utf-8"


def test_a_client_that_does_not_read_makes_room_for_another(
    open_stream: OpenStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.upload.streams._DISCONNECT_S", 20)
    slow, response = open_stream()

    def send() -> None:
        with response, pytest.raises(BrokenPipeError):
            slow.sendall(bytes(10_000_000))

    server = threading.Thread(target=send)
    server.start()
    wait_until(lambda: slow.closes_at < float("inf"), 20, "the server waits for the client")
    _, other = open_stream()
    other.close()
    server.join(20)
    assert not server.is_alive()


def test_a_client_that_reads_keeps_its_stream(open_stream: OpenStream) -> None:
    _, response = open_stream()
    with response, pytest.raises(RetryLater):
        open_stream()
