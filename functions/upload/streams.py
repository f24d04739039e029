"""Responses that last: event streams and previews. Each occupies a thread, so they are limited."""

import math
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import flask

from functions.upload import connection
from microdemucs.client_socket import ClientSocket
from microdemucs.problems import RetryLater

_DISCONNECT_S = 1.0
"""How long a client that has been disconnected may take to free its stream."""


class Streams:
    """The open streams of this process, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = threading.Semaphore(limit)
        self._clients: set[ClientSocket] = set()

    @property
    def open(self) -> int:
        """How many streams are open now, under our own server."""
        return len(self._clients)

    def response(
        self, chunks: Iterable[bytes] | Iterable[str], content_type: str, instead: str
    ) -> flask.Response:
        """Return a response that sends `chunks` as they come, and is one stream until its end.

        Raises RetryLater if all streams are in use; `instead` says what else to do.
        """
        with ExitStack() as stack:
            stack.enter_context(self._one(instead))
            response = flask.Response(chunks, mimetype=content_type)
            response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the stream back
            response.call_on_close(stack.pop_all().close)
        return response

    @contextmanager
    def _one(self, instead: str) -> Iterator[None]:
        if not self._free.acquire(blocking=False) and not self._take_from_slowest():
            raise RetryLater(
                "too-many-streams",
                "Too many open streams",
                f"all {self.limit} streams (EVENT_STREAMS) are in use: {instead}",
            )
        client = connection.client_socket(flask.request)
        if client:
            self._clients.add(client)
        try:
            yield
        finally:
            if client:
                self._clients.discard(client)
            self._free.release()

    def _take_from_slowest(self) -> bool:
        """Disconnect the client that has not read its stream for longest; return whether it helps.

        Otherwise clients that do not read would keep all others out until their patience ends.
        """
        clients = list(self._clients)
        slowest = min(clients, key=lambda client: client.closes_at, default=None)
        if slowest is None or slowest.closes_at == math.inf:
            return False
        with suppress(OSError):
            slowest.shutdown(socket.SHUT_RDWR)
        return self._free.acquire(timeout=_DISCONNECT_S)
