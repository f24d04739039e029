"""Look up the addresses of hosts, so that a slow name delays no other one.

getaddrinfo has no time limit of its own: a lookup whose caller gave up goes on in its thread, for
as long as the name servers of that name take. So each name has at most one lookup at a time, and
names that were found in time have threads of their own, which unknown and slow names cannot take.
"""

import socket
import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

_THREADS = 256
_NAMES = 10_000


class NotResolved(Exception):
    """The host has no address, or the lookup took too long. The text says which."""


class Resolver:
    """Looks up hosts. Thread-safe. Threads start when they are needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lookups: dict[str, Future[list[str]]] = {}
        self._proven: OrderedDict[str, None] = OrderedDict()
        self._threads_for_proven = ThreadPoolExecutor(_THREADS, "resolve-proven")
        self._threads = ThreadPoolExecutor(_THREADS, "resolve")

    def resolve(self, host: str, seconds: float) -> list[str]:
        """Return every address of `host`, the system's first choice first.

        An address in any notation is its own, without a lookup. Raises NotResolved.
        """
        if address := _literal(host):
            return [address]
        lookup = self._lookup(host)
        try:
            addresses = lookup.result(seconds)
        except (TimeoutError, CancelledError):
            lookup.cancel()  # if it has not begun, it never will
            with self._lock:
                self._proven.pop(host, None)
            raise NotResolved(f"{host} was not resolved within {seconds:g} s") from None
        except (OSError, UnicodeError):
            raise NotResolved(f"{host} cannot be resolved") from None
        with self._lock:
            self._proven[host] = None
            self._proven.move_to_end(host)
            while len(self._proven) > _NAMES:
                self._proven.popitem(last=False)
        return addresses

    def _lookup(self, host: str) -> Future[list[str]]:
        """Return the present lookup of `host`, or begin one."""
        with self._lock:
            if host in self._lookups:
                return self._lookups[host]
            threads = self._threads_for_proven if host in self._proven else self._threads
            lookup = self._lookups[host] = threads.submit(_addresses, host)
        lookup.add_done_callback(lambda _: self._forget(host))
        return lookup

    def _forget(self, host: str) -> None:
        with self._lock:
            self._lookups.pop(host, None)


def _literal(host: str) -> str | None:
    """Return the address that `host` is, in any notation that getaddrinfo accepts, or None."""
    try:
        if ":" in host:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            return host
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))
