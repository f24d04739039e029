"""Interim responses (RFC 9110, section 15.2) of a real server are skipped."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from functions.notify.egress import Egress, Response, Unreachable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nRetry-After: 60\r\n\r\n"
UNKNOWN = b"HTTP/1.1 199 Wait\r\n\r\n"
FINAL = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextmanager
def answering(text: bytes, *, is_endless: bool = False) -> Iterator[str]:
    """Answer one request with `text`, over and over if `is_endless`; yield the server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(text)
                try:
                    while is_endless:
                        connection.sendall(text)
                except OSError:
                    pass  # the client has gone

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


def post(url: str) -> Response:
    return Egress(allow_private=True).post(url, {}, b"{}")


@pytest.mark.parametrize(
    "interim",
    [b"", CONTINUE, PROCESSING, EARLY_HINTS, UNKNOWN, CONTINUE + EARLY_HINTS * 3 + PROCESSING],
    ids=["none", "100", "102", "103", "199", "many"],
)
def test_the_response_is_the_final_one(interim: bytes) -> None:
    with answering(interim + FINAL) as url:
        assert post(url) == Response(204)


def test_the_headers_are_those_of_the_final_response() -> None:
    final = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    with answering(EARLY_HINTS + final) as url:
        assert post(url) == Response(503, 7.0)


def test_a_switch_to_another_protocol_is_no_success() -> None:
    with answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + FINAL) as url:
        assert post(url).status == 101


def test_an_interim_response_without_a_final_one_is_no_response() -> None:
    with answering(EARLY_HINTS) as url, pytest.raises(Unreachable, match="no HTTP response"):
        post(url)


def test_endless_interim_responses_are_no_response() -> None:
    with answering(EARLY_HINTS, is_endless=True) as url, pytest.raises(Unreachable):
        post(url)
