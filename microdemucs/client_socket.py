"""The socket of an HTTP client, which may be slow: it waits for the client with limited patience.

A thread that waits for its client gives its turn to another thread, so that slow clients do not
keep others from being served. gunicorn's workers block in `recv` and `sendall`, without a limit on
the whole request.
"""

import errno
import logging
import math
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from microdemucs.problems import Problem

log = logging.getLogger(__name__)

# Without it, up to 4 MB wait in the kernel, and a reader that is slow, but fast enough, shows no
# progress for minutes.
_MAX_UNSENT_BYTES = 128 * 1024
_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; the module socket has no name for it


@dataclass(frozen=True, slots=True)
class Patience:
    """How slow a client may be.

    The server waits `seconds` for it in all, and longer by one second for each `bytes_per_second`
    that it sends or receives, but never more than `seconds` ahead.
    """

    seconds: float
    bytes_per_second: float


class ClientSocket(socket.socket):
    """A client's connection, made from an accepted socket, which it takes over.

    The socket itself never blocks: `recv` and `sendall` wait for it. `settimeout` and
    `setblocking` only limit how long `recv` waits at once.
    """

    def __init__(self, accepted: socket.socket, patience: Patience) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().setblocking(False)
        if self.family in (socket.AF_INET, socket.AF_INET6):
            self.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _MAX_UNSENT_BYTES)
        self._patience = patience
        self._seconds_left = patience.seconds
        self._timeout: float | None = None
        self._turns: threading.Semaphore | None = None
        self.closes_at = math.inf
        """While a thread waits for the client: the monotonic time at which it gives up."""

    @contextmanager
    def request(self, turns: threading.Semaphore | None) -> Iterator[None]:
        """Begin a request with full patience; take one of `turns`, except while it waits."""
        self._seconds_left = self._patience.seconds
        with turns or nullcontext():
            self._turns = turns
            try:
                yield
            finally:
                self._turns = None

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return what has arrived; wait for it.

        Raises Problem (408) if the client is too slow, and TimeoutError after `settimeout`.
        """
        while True:
            try:
                data = super().recv(size, flags)
            except BlockingIOError:
                if self._wait(select.POLLIN):
                    continue
                if self._seconds_left > 0:
                    raise TimeoutError("timed out") from None
                raise self._too_slow("sends") from None
            self._count(len(data))
            return data

    def recv_available(self, size: int) -> bytes:
        """Return what has arrived. Raises BlockingIOError if nothing has."""
        return super().recv(size)

    def sendall(self, data: bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        """Send `data`; wait for the client. Raises BrokenPipeError if it reads too slowly."""
        rest = memoryview(data)
        while rest:
            try:
                sent = self.send(rest, flags)
            except BlockingIOError:
                if self._wait(select.POLLOUT):
                    continue
                problem = self._too_slow("reads")
                # What is not sent would stay in the kernel: let close drop it.
                self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise BrokenPipeError(errno.EPIPE, problem.detail) from None
            self._count(sent)
            rest = rest[sent:]

    def settimeout(self, value: float | None, /) -> None:
        """Limit how long `recv` waits at once, in seconds; None means as long as patience lasts."""
        self._timeout = value

    def gettimeout(self) -> float | None:
        """Return what `settimeout` set."""
        return self._timeout

    def setblocking(self, flag: bool, /) -> None:
        """Set the timeout to none, or to 0."""
        self._timeout = None if flag else 0.0

    def _count(self, size: int) -> None:
        earned = size / self._patience.bytes_per_second
        self._seconds_left = min(self._patience.seconds, self._seconds_left + earned)

    def _wait(self, event: int) -> bool:
        """Return whether the socket can go on; if not, the timeout or the patience is over."""
        poller = select.poll()
        poller.register(self, event)
        started = time.monotonic()
        seconds = max(0.0, self._seconds_left)
        self.closes_at = started + seconds
        if self._timeout is not None:
            seconds = min(seconds, self._timeout)
        if self._turns:
            self._turns.release()
        try:
            return bool(poller.poll(seconds * 1000))
        finally:
            self.closes_at = math.inf
            self._seconds_left -= time.monotonic() - started
            if self._turns:
                self._turns.acquire()

    def _too_slow(self, does: str) -> Problem:
        limit = self._patience
        log.info("slow client disconnected", extra={"reason": f"it {does} too slowly"})
        return Problem(
            408,
            "slow-client",
            "The request arrives too slowly",
            f"at least {limit.bytes_per_second:g} bytes per second are expected, and at most "
            f"{limit.seconds:g} s without any",
        )
