"""The client's connection: its socket, and answers that are sent before the body is read.

WSGI has no notion of a connection; gunicorn passes the socket in the request's environment.
"""

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import flask

from microdemucs.client_socket import ClientSocket
from microdemucs.disconnect import is_disconnected as is_disconnected
from microdemucs.problems import Problem

DISCARD_S = 30.0
"""How long the rest of a rejected request's body is read and thrown away."""
_CHUNK_BYTES = 64 * 1024


class ClientLeft(BrokenPipeError):
    """The client has closed the connection: the same error as if something had been sent to it."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the client has left")


def answer_before_body(response: flask.Response) -> flask.Response:
    """Send an error response before the rest of the body is read, then discard that rest.

    A rejected song may be long. gunicorn would read a little of it and close the connection; the
    kernel then drops the answer for a client that sends everything before it reads.
    """
    environ = flask.request.environ
    has_end = environ.get("wsgi.input_terminated")
    if response.status_code < 400 or response.is_streamed or not has_end:
        return response
    body = environ["wsgi.input"]

    def answer_then_discard(answer: bytes) -> Iterator[bytes]:
        yield answer
        end = time.monotonic() + DISCARD_S
        with suppress(Problem):  # the client is too slow
            while time.monotonic() < end and body.read(_CHUNK_BYTES):
                pass

    response.content_length = len(response.get_data())
    response.response = answer_then_discard(response.get_data())
    return response


def ensure_connected(request: flask.Request) -> None:
    """Raise ClientLeft if the client has closed the connection."""
    if is_disconnected(request):
        raise ClientLeft


def client_socket(request: flask.Request) -> ClientSocket | None:
    """Return the request's connection; None under a server that is not our own."""
    sock = _socket(request)
    return sock if isinstance(sock, ClientSocket) else None


def _socket(request: flask.Request) -> socket.socket | None:
    sock: socket.socket | None = request.environ.get("gunicorn.socket")
    return sock
