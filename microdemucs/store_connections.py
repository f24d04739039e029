"""Connections to the object store that notice a store which hangs, restarts or is gone.

The limits depend on the request, because minio-py has one for all. Idempotent requests are tried
again if the connection broke, or if the store says that it is not ready. A store that has not
answered in time hangs: then the caller decides when to try again.
"""

import socket
from types import TracebackType
from typing import Any, Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ReadTimeoutError

CONNECT_S = 3.0
READ_S = 30.0
"""How long the store may take to answer a request that changes no object, or to send more of it."""
WRITE_S = 60.0
"""How long it may take to store an object, to put one together, or to remove many."""
STALL_S = 30.0
"""How long it may take to accept `_SLICE_BYTES` of a request's body."""

_READING = ("GET", "HEAD")
_SLICE_BYTES = 1 << 16
_UNACKNOWLEDGED_MS = 15_000
_SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    # An idle connection to a machine that is gone is closed within 20 s, before it is used again.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS),
]


class StoreConnections(urllib3.PoolManager):
    """The connections of one client of the store."""

    def __init__(self) -> None:
        super().__init__(
            maxsize=16,
            socket_options=_SOCKET_OPTIONS,
            # MinIO says "Retry-After: 60" whenever it is not ready, also while it starts.
            retries=_Retry(
                total=4,
                backoff_factor=0.2,
                backoff_max=2.0,
                backoff_jitter=0.2,
                status_forcelist=[502, 503, 504],
                respect_retry_after_header=False,
            ),
        )
        self.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a request with the time limits of its method."""
        limit = READ_S if method in _READING else WRITE_S
        options.setdefault("timeout", urllib3.Timeout(connect=CONNECT_S, read=limit))
        return super().urlopen(method, url, redirect, **options)


class _Retry(urllib3.Retry):
    """Tries no request again that the store has not answered in time."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class _SlicedBody:
    """Sends a body in slices, so that the time limit is one for each of them.

    urllib3 would send all of it within the time limit of the connection, and a slow store would
    never get a large object.
    """

    sock: socket.socket | None

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        assert self.sock
        self.sock.settimeout(STALL_S)
        if isinstance(data, bytes):
            for start in range(0, len(data), _SLICE_BYTES):
                self.sock.sendall(memoryview(data)[start : start + _SLICE_BYTES])
        else:
            super().send(data)  # type: ignore[misc]


class _HttpConnection(_SlicedBody, HTTPConnection):
    pass


class _HttpsConnection(_SlicedBody, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
