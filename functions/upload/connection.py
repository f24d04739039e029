"""The peer at the other end of the connection: it may stall, go away, or talk on when refused.

WSGI says nothing of connections; gunicorn hands the socket over beside the request.
"""

import io
import select
import socket
import time
from collections.abc import Iterator

import flask

STALL_S = 60.0
"""How long a peer may neither send nor take anything before it counts as gone."""
LINGER_S = 30.0
_PIECE_BYTES = 64 * 1024


def limit_stalls(request: flask.Request) -> None:
    """End the request where its peer stalls: the worker's thread would wait for ever."""
    if sock := _socket(request):
        sock.settimeout(STALL_S)


def is_gone(request: flask.Request) -> bool:
    """Whether the peer has closed the connection, which writing alone shows only later."""
    sock = _socket(request)
    if sock is None:
        return False
    asked = select.poll()
    asked.register(sock, select.POLLRDHUP)
    return bool(asked.poll(0))


def answer_first(request: flask.Request, response: flask.Response) -> flask.Response:
    """Make `response` go out before the rest of the body is read, which is then thrown away.

    functions-framework would read that rest into memory before it answers, and a refused song may
    be long. gunicorn would read little of it and close the connection: of a client that sends all
    before it listens, the kernel then drops the answer too.
    """
    body = request.environ["wsgi.input"]
    request.environ["wsgi.input"] = io.BytesIO()
    request.environ["CONTENT_LENGTH"] = "0"
    has_end = request.environ.get("wsgi.input_terminated")
    if response.status_code < 400 or response.is_streamed or not has_end:
        return response

    def pieces(whole: bytes) -> Iterator[bytes]:
        yield whole
        end = time.monotonic() + LINGER_S
        while time.monotonic() < end and body.read(_PIECE_BYTES):
            pass

    response.content_length = len(response.get_data())
    response.response = pieces(response.get_data())
    return response


def _socket(request: flask.Request) -> socket.socket | None:
    found: socket.socket | None = request.environ.get("gunicorn.socket")
    return found
