"""Look up the addresses of hosts, so that a slow name delays no other one.

The system's getaddrinfo has no time limit and needs a thread for each lookup. c-ares does all of
them in one thread, ends each in time, and reads the same files: /etc/resolv.conf, /etc/hosts,
/etc/nsswitch.conf.
"""

import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pycares

_TRY_S, _TRIES = 1.0, 2
"""How long a name server has to answer the first time, and how often it is asked.

The second time it has twice as long: 3 s in all."""


class NotResolved(Exception):
    """The host has no address, or the lookup took too long. The text says which."""


class Resolver:
    """Looks up hosts. Thread-safe. `servers` are name servers; by default, the system's."""

    def __init__(self, servers: Sequence[str] | None = None) -> None:
        self._channel = pycares.Channel(timeout=_TRY_S, tries=_TRIES, servers=servers)
        self._lock = threading.Lock()
        self._lookups: dict[str, Future[list[str]]] = {}

    def resolve(self, host: str, seconds: float) -> list[str]:
        """Return every address of `host`, the system's first choice first.

        An address in any notation is its own, without a lookup. Raises NotResolved.
        """
        if address := _literal(host):
            return [address]
        try:
            addresses = self._lookup(host).result(seconds)
        except TimeoutError:
            raise NotResolved(f"{host} was not resolved within {seconds:g} s") from None
        if not addresses:
            raise NotResolved(f"{host} cannot be resolved")
        return addresses

    def close(self) -> None:
        """End all lookups."""
        self._channel.close()

    def _lookup(self, host: str) -> Future[list[str]]:
        """Return the present lookup of `host`, or begin one: a name has one at a time."""
        with self._lock:
            if host in self._lookups:
                return self._lookups[host]
            lookup = self._lookups[host] = Future[list[str]]()

        def on_answer(answer: pycares.AddrInfoResult | None, _: int | None) -> None:
            with self._lock:
                self._lookups.pop(host, None)
            lookup.set_result(_addresses(answer))

        try:
            self._channel.getaddrinfo(host, None, type=socket.SOCK_STREAM, callback=on_answer)
        except (ValueError, UnicodeError, pycares.AresError):  # it cannot be a name
            on_answer(None, None)
        return lookup


def _literal(host: str) -> str | None:
    """Return the address that `host` is, in any notation that getaddrinfo accepts, or None."""
    try:
        if ":" in host:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            return host
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _addresses(answer: pycares.AddrInfoResult | None) -> list[str]:
    nodes = answer.nodes if answer else ()
    return list(dict.fromkeys(node.addr[0].decode() for node in nodes))
