"""Post events to real servers, good and bad ones."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import aiohttp
import pytest
from cloudevents.http import CloudEvent, from_http

from local.ports import free_port
from microdemucs.event_signature import ensure_signed
from minio_events.forward import Accepted, Retry, Undeliverable, Verdict, post
from testing.events_secret import EVENTS_SECRET
from tests.integration.minio_events.function_server import FunctionServer
from tests.unit.minio_events.events import EVENT


def post_event(url: str, subject: str = "a.mp3", **timeouts: float) -> Verdict:
    async def main() -> Verdict:
        timeout = aiohttp.ClientTimeout(**({"total": 20} | timeouts))
        async with aiohttp.ClientSession(timeout=timeout) as session:
            event = CloudEvent(EVENT | {"subject": subject}, {"n": 1})
            return await post(session, url, event, EVENTS_SECRET)

    return asyncio.run(main())


def test_a_function_receives_the_event() -> None:
    with FunctionServer() as function:
        assert post_event(function.url, "dir/ü.mp3") == Accepted()
    [request] = function.requests
    assert request.subject == "dir/%C3%BC.mp3"
    assert request.headers["traceparent"] == EVENT["traceparent"]
    assert json.loads(request.body) == {"n": 1}


def test_the_function_can_verify_the_event_but_never_sees_the_secret() -> None:
    with FunctionServer() as function:
        post_event(function.url, "dir/ü.mp3")
    [request] = function.requests
    ensure_signed(from_http(request.headers, request.body), EVENTS_SECRET)
    assert EVENTS_SECRET not in str(request)


def test_retry_after_is_read_from_the_response() -> None:
    with FunctionServer(lambda _: (503, {"Retry-After": "7"})) as function:
        assert post_event(function.url) == Retry("answer 503", 7.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with (
        FunctionServer() as other,
        FunctionServer(lambda _: (status, {"Location": other.url})) as function,
    ):
        assert post_event(function.url) == Undeliverable(f"answer {status}")
        assert other.requests == []


def test_a_refused_connection_is_no_failed_attempt() -> None:
    assert post_event(f"http://127.0.0.1:{free_port()}") == Retry("no connection", counted=False)


def test_an_unknown_host_is_no_failed_attempt() -> None:
    assert post_event("http://no-such-function.invalid") == Retry("no connection", counted=False)


def test_a_connection_that_is_not_accepted_is_no_failed_attempt() -> None:
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):  # fill the backlog
            filler = ends.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert post_event(url, sock_connect=0.3) == Retry("no connection", counted=False)


@contextlib.contextmanager
def raw_server(respond: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that reads one request and passes its connection to `respond`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    while (received := connection.recv(65536)) and b'{"n": 1}' not in received:
                        pass
                    respond(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    "sent",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"no\r\n"],
    ids=["nothing", "half a head", "half a body", "no HTTP"],
)
def test_a_connection_that_ends_before_the_response_is_a_failed_attempt(sent: bytes) -> None:
    with raw_server(lambda connection: connection.sendall(sent)) as url:
        verdict = post_event(url)
    assert isinstance(verdict, Retry)
    assert verdict.counted
    assert verdict.reason.startswith("connection lost")


def test_no_response_in_time_is_a_failed_attempt() -> None:
    end = threading.Event()
    with raw_server(lambda _: end.wait(30)) as url:  # then the connection would be lost
        assert post_event(url, total=0.3) == Retry("no answer in time")
        end.set()
