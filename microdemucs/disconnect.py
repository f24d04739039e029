"""Whether the client of a request has left: a write would notice it only later.

WSGI has no notion of a connection; gunicorn passes the socket in the request's environment.
"""

import select
import socket

import flask


def is_disconnected(request: flask.Request) -> bool:
    """Return whether the client has closed the connection."""
    sock: socket.socket | None = request.environ.get("gunicorn.socket")
    if sock is None:
        return False
    hangup = select.poll()
    hangup.register(sock, select.POLLRDHUP)
    return bool(hangup.poll(0))
