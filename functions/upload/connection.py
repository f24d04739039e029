"""The client's connection: time limits, disconnects, and answers sent before the body is read.

WSGI has no notion of a connection; gunicorn passes the socket in the request's environment.
"""

import io
import select
import socket
import time
from collections.abc import Iterator

import flask

STALL_TIMEOUT_S = 60.0
"""How long a client may neither send nor receive anything before the request ends."""
DISCARD_S = 30.0
"""How long the rest of a rejected request's body is read and thrown away."""
_CHUNK_BYTES = 64 * 1024


def set_stall_timeout(request: flask.Request) -> None:
    """End the request if its client stalls, so that it does not keep a thread for ever."""
    if sock := _socket(request):
        sock.settimeout(STALL_TIMEOUT_S)


def is_disconnected(request: flask.Request) -> bool:
    """Return whether the client has closed the connection; a write would notice it only later."""
    sock = _socket(request)
    if sock is None:
        return False
    hangup = select.poll()
    hangup.register(sock, select.POLLRDHUP)
    return bool(hangup.poll(0))


def answer_before_body(request: flask.Request, response: flask.Response) -> flask.Response:
    """Send an error response before the rest of the body is read, then discard that rest.

    A rejected song may be long. functions-framework would read it into memory before it answers.
    gunicorn would read a little of it and close the connection; the kernel then drops the answer
    for a client that sends everything before it reads.
    """
    body = request.environ["wsgi.input"]
    request.environ["wsgi.input"] = io.BytesIO()
    request.environ["CONTENT_LENGTH"] = "0"
    has_end = request.environ.get("wsgi.input_terminated")
    if response.status_code < 400 or response.is_streamed or not has_end:
        return response

    def answer_then_discard(answer: bytes) -> Iterator[bytes]:
        yield answer
        end = time.monotonic() + DISCARD_S
        while time.monotonic() < end and body.read(_CHUNK_BYTES):
            pass

    response.content_length = len(response.get_data())
    response.response = answer_then_discard(response.get_data())
    return response


def _socket(request: flask.Request) -> socket.socket | None:
    sock: socket.socket | None = request.environ.get("gunicorn.socket")
    return sock
