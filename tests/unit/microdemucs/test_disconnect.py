"""Whether a client has left."""

import socket
from collections.abc import Iterator

import flask
import pytest

from microdemucs.disconnect import is_disconnected

Sockets = tuple[socket.socket, socket.socket]


def request_over(sock: socket.socket) -> flask.Request:
    """Return a request with a real socket, as gunicorn passes it."""
    return flask.Request({"gunicorn.socket": sock})


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_closed_connection_is_noticed_without_a_write(sockets: Sockets) -> None:
    ours, theirs = sockets
    assert not is_disconnected(request_over(ours))
    theirs.close()
    assert is_disconnected(request_over(ours))


def test_a_client_that_has_left_more_to_read_has_left_too(sockets: Sockets) -> None:
    ours, theirs = sockets
    theirs.sendall(b"a request")
    theirs.close()
    assert is_disconnected(request_over(ours))


def test_a_server_that_passes_no_socket_does_not_know() -> None:
    assert not is_disconnected(flask.Request({}))
