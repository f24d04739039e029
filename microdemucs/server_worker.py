"""The gunicorn worker of all functions: slow clients do not keep it from serving the others.

gunicorn's gthread worker reads a request in a thread, as slowly as the client sends it; it has no
deadline for headers and no least rate for bodies (benoitc/gunicorn#2222, #3519). Servers that
buffer (waitress) write each song to disk before the application can refuse it, and behind an ASGI
server a slow body occupies a thread, too. This worker differs from gthread in this:

- The poller, not a thread, waits for a request's headers, until a deadline.
- A thread that waits for its client lets another one work, and gives up in time (ClientSocket).
- Probes wait for no other request.
- At the limit of connections, the one with the slowest client makes room for a new one.
- The last bytes of a closing connection are read in the poller, not in the main loop.
- The server's own errors are problem documents.
"""

import errno
import json
import logging
import math
import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from itertools import islice
from operator import itemgetter
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from microdemucs.client_socket import ClientSocket, Patience
from microdemucs.problems import CONTENT_TYPE, Problem
from microdemucs.settings import ServerSettings

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
PROBES = (b"/healthz", b"/readyz")
_LINGER_S = 2.0
"""How long a closed connection is read on, so that the client gets the end of the answer."""
_JUST_COME = 0.999
"""What is left of a new connection's time: it is not closed for others, which work or end soon."""
_MAX_DISCARDED_BYTES = 64 * 1024
_NO_FILES_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_complete(head: bytes) -> bool:
    """Whether the parser needs no more bytes of the headers: to accept them, or to refuse them."""
    return b"\r\n\r\n" in head or head.count(b"\n") != head.count(b"\r\n")


def is_probe(head: bytes) -> bool:
    """Whether these headers are those of a health probe."""
    method, _, target = head.partition(b"\r\n")[0].partition(b" ")
    return method in (b"GET", b"HEAD") and target.partition(b" ")[0] in PROBES


def problem_of(error: Exception) -> Problem | None:
    """Return the Problem of a request that cannot be parsed; None if the error is our own."""
    match error:
        case errors.InvalidResponseHeader() | errors.InvalidResponseHeaderName():
            return None
        case errors.LimitRequestLine():
            return _http_problem(HTTPStatus.REQUEST_URI_TOO_LONG)
        case errors.LimitRequestHeaders():
            return _http_problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        case errors.UnsupportedTransferCoding():
            return _http_problem(HTTPStatus.NOT_IMPLEMENTED)
        case errors.ExpectationFailed():
            return _http_problem(HTTPStatus.EXPECTATION_FAILED)
        case errors.ParseException():
            return _http_problem(HTTPStatus.BAD_REQUEST)
    return None


class Connection(TConn):  # type: ignore[misc]
    """A connection. While the poller waits for it, the worker closes it at `deadline`.

    `head` is what has arrived of a request's headers.
    """

    sock: ClientSocket

    def __init__(
        self, cfg: Any, sock: ClientSocket, client: Any, server: Any, linger: Callable[..., None]
    ) -> None:
        super().__init__(cfg, sock, client, server)
        self.head = b""
        self.deadline = math.inf
        self.is_probe = False
        self.discarded = 0
        self._linger = linger

    def close(self, graceful: bool = False) -> None:
        """Close the connection; `graceful` delays that until the client has read everything."""
        if graceful:
            self._linger(self)
        else:
            super().close()

    def serve_headers(self) -> None:
        """Give the headers to the parser."""
        self.init()
        self.data_ready = True
        self.is_probe = is_probe(self.head)
        self.parser.unreader.unread(self.head)
        self.head = b""


class Worker(ThreadWorker):  # type: ignore[misc]
    """A gthread worker that slow clients cannot stop. Its application has the `settings`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        settings: ServerSettings = self.app.settings
        # Requests open files and connections of their own.
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_connections = min(settings.connections, open_files // 2)
        self._header_seconds = settings.header_seconds
        self._patience = Patience(settings.stall_seconds, settings.min_bytes_per_second)
        self._turns = threading.Semaphore(settings.threads)
        # In the order of their deadlines.
        self._awaiting_headers: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._in_threads: set[Connection] = set()
        self._interrupted: set[Connection] = set()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return a pool with a thread for each connection: most of them wait for their clients."""
        return ThreadPoolExecutor(max_workers=self.worker_connections)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its first request."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in _NO_FILES_LEFT:
                self._make_room()
            return  # or the client has gone
        sock = ClientSocket(accepted, self._patience)
        self.nr_conns += 1
        self.enqueue_req(
            Connection(self.cfg, sock, client, listener.getsockname(), self._begin_linger)
        )

    def enqueue_req(self, conn: Connection) -> None:
        """Wait until the next request's headers have arrived, then serve it in a thread."""
        if conn.parser:
            conn.head = conn.parser.unreader.take_buffered()  # it came with the request before
        conn.deadline = time.monotonic() + self._header_seconds
        if not self.alive:
            conn.deadline = min(conn.deadline, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self._awaiting_headers[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read_head, conn))
        if is_complete(conn.head):
            self._serve(conn)

    def handle(self, conn: Connection) -> Any:
        """Handle a request, in a thread; a probe takes no turn, so it never waits for one."""
        with conn.sock.request(None if conn.is_probe else self._turns):
            return super().handle(conn)

    def finish_request(self, conn: Connection, future: "Future[Any]") -> None:
        """Wait for the connection's next request, or close it."""
        self._in_threads.discard(conn)
        self._interrupted.discard(conn)
        super().finish_request(conn, future)

    def murder_pending(self) -> None:
        """Close connections that are too many, or whose deadline is over.

        gunicorn calls this after it has handled new events, and at least once a second.
        """
        for _ in range(self.nr_conns - len(self._interrupted) - self._max_connections):
            self._make_room()
        now = time.monotonic()
        for conn in [conn for conn in self._awaiting_headers if conn.deadline <= now]:
            if conn.head:
                detail = f"they must be complete within {self._header_seconds:g} s"
                self._refuse(
                    conn, Problem(408, "slow-client", "The headers arrive too slowly", detail)
                )
            else:
                self._drop(conn)
        for conn in [conn for conn in self._lingering if conn.deadline <= now]:
            self._end_linger(conn)

    def handle_error(self, _req: Any, client: ClientSocket, _addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn could not parse, or whose application failed."""
        if isinstance(exc, Problem):  # a slow client; it has had its answer
            return
        problem = problem_of(exc)
        if problem is None:
            log.error("internal error", exc_info=exc)
            problem = Problem(500, "crash", "Internal error", "the function's log has the details")
        else:
            about = {"status": problem.status, "reason": type(exc).__name__}
            log.info("request refused", extra=about)
        with suppress(OSError):
            client.sendall(_response(problem))

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self._awaiting_headers:
            conn.deadline = min(conn.deadline, deadline)

    def _read_head(self, conn: Connection, _: object) -> None:
        try:
            data = conn.sock.recv_available(MAX_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.head += data
        if not data:
            self._drop(conn)
        elif is_complete(conn.head):
            self._serve(conn)
        elif len(conn.head) > MAX_HEAD_BYTES:
            self._refuse(conn, _http_problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    def _serve(self, conn: Connection) -> None:
        self._stop_awaiting(conn)
        conn.serve_headers()
        self._in_threads.add(conn)
        super().enqueue_req(conn)

    def _refuse(self, conn: Connection, problem: Problem) -> None:
        self._stop_awaiting(conn)
        with suppress(OSError):  # a full buffer, too
            conn.sock.send(_response(problem))
        self.nr_conns -= 1
        conn.close(graceful=True)

    def _drop(self, conn: Connection) -> None:
        self._stop_awaiting(conn)
        self.nr_conns -= 1
        conn.close()

    def _stop_awaiting(self, conn: Connection) -> None:
        del self._awaiting_headers[conn]
        self.poller.unregister(conn.sock)

    def _begin_linger(self, conn: Connection) -> None:
        """Half-close the connection, and read on for a while (RFC 9112, section 9.6)."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            conn.close()
            return
        self.nr_conns += 1
        conn.deadline = time.monotonic() + _LINGER_S
        self._lingering[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))

    def _discard(self, conn: Connection, _: object) -> None:
        try:
            data = conn.sock.recv_available(_MAX_DISCARDED_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.discarded += len(data)
        if not data or conn.discarded > _MAX_DISCARDED_BYTES:
            self._end_linger(conn)

    def _end_linger(self, conn: Connection) -> None:
        del self._lingering[conn]
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> None:
        """Close the connection whose client has used up the largest part of its time.

        So a new one is not closed for one that has been slow for a while.
        """
        now = time.monotonic()
        waiting: list[tuple[float, Callable[[], None]]] = []  # part of the time that is left
        for conn in islice(self._lingering, 1):
            waiting.append(((conn.deadline - now) / _LINGER_S, partial(self._end_linger, conn)))
        for conn in islice(self._awaiting_headers, 1):
            waiting.append(
                ((conn.deadline - now) / self._header_seconds, partial(self._drop, conn))
            )
        for conn in islice(self.keepalived_conns, 1):
            waiting.append(((conn.timeout - now) / self.cfg.keepalive, self._close_idle))
        for conn in self._in_threads:
            left = (conn.sock.closes_at - now) / self._patience.seconds
            if left < math.inf:
                waiting.append((left, partial(self._interrupt, conn)))
        left, close = min(waiting, key=itemgetter(0), default=(math.inf, None))
        if close and left < _JUST_COME:
            close()

    def _close_idle(self) -> None:
        """Close the connection that has waited longest for its next request."""
        self.keepalived_conns[0].timeout = 0.0
        self.murder_keepalived()

    def _interrupt(self, conn: Connection) -> None:
        """Let the thread that waits for this client go on, without it."""
        conn.sock.closes_at = math.inf
        self._interrupted.add(conn)
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_RDWR)


def _http_problem(status: HTTPStatus) -> Problem:
    return Problem(status, "http", status.phrase)


def _response(problem: Problem) -> bytes:
    status = HTTPStatus(problem.status)
    body = json.dumps(problem.body()).encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
