"""Where a webhook may go, and one POST to there.

Whoever registers a webhook makes us send requests (server-side request forgery), so by default
only public addresses are reached. The name is resolved here, every address is judged, and the
connection goes to the very address that was judged: a name that resolves differently the next
moment (DNS rebinding) gains nothing. No redirect is followed and no proxy of the environment is
used, since both would choose another address.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url

RESOLVE_S, CONNECT_S, TOTAL_S = 3.0, 3.0, 15.0
_ANSWER_BYTES = 64 * 1024  # what a polite receiver may answer before it is cut off
_PORTS = {"http": 80, "https": 443}
# Networks whose addresses hold an IPv4 address in their last 32 bits, where packets really go:
# NAT64 (RFC 6052, RFC 8215), IPv4-compatible (RFC 4291, 2.5.5.1).
_IPV4_AT_END = [IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")]
# getaddrinfo has no time limit of its own.
_resolvers = ThreadPoolExecutor(8, "resolve")


class Forbidden(Exception):
    """A webhook may not go there, now or ever; the text says why."""


class Unreachable(Exception):
    """There was no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL taken apart. `host` is ASCII and without brackets, `path` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """Scheme, host and port: what may be logged (path and query can hold secrets)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self._unusual_port else "")

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return self.name.removeprefix(f"{self.scheme}://")

    @property
    def _unusual_port(self) -> bool:
        return self.port != _PORTS[self.scheme]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said. `retry_after` is in seconds, 0.0 where it named none."""

    status: int
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Egress:
    """The rules: whether private addresses are allowed, and whom else than the system to trust.

    `ca_file` is a PEM file of certificate authorities, "" for none.
    """

    allow_private: bool = False
    ca_file: str = ""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body` to `url` in at most about TOTAL_S.

        Raises Forbidden where it may not go there, Unreachable where no answer came.
        """
        began = time.monotonic()
        place = place_of(url)
        found = resolve(place)
        if not self.allow_private and not all(map(is_public, found)):
            raise Forbidden(f"{place.host} has an address that is not public")
        with _told(), closing(self._first_that_answers(place, found)) as connection:
            left = max(1.0, began + TOTAL_S - time.monotonic())
            connection.timeout = left  # of each read; the watchdog ends a slow sequence of them
            with _watchdog(connection, left):
                connection.request(
                    "POST",
                    place.path,
                    body=body,
                    headers={"Host": place.authority, "Connection": "close", **headers},
                    preload_content=False,
                )
                answer = connection.getresponse()
                with suppress(HTTPError, HTTPException, OSError):  # the status says all
                    answer.read(_ANSWER_BYTES)
        return Answer(answer.status, _seconds(answer.headers.get("Retry-After", "")))

    def _first_that_answers(self, place: Place, found: list[str]) -> HTTPConnection:
        first, *others = found
        try:
            return self._connected(place, first)
        except (HTTPError, OSError):  # one more, as of a host with IPv6 and IPv4: time is short
            if not others:
                raise
            return self._connected(place, others[0])

    def _connected(self, place: Place, address: str) -> HTTPConnection:
        if place.scheme == "http":
            connection = HTTPConnection(address, place.port, timeout=CONNECT_S)
        else:
            trusted = ssl.create_default_context()
            if self.ca_file:
                trusted.load_verify_locations(self.ca_file)
            connection = HTTPSConnection(
                address,
                place.port,
                timeout=CONNECT_S,
                ssl_context=trusted,
                server_hostname=place.host,
            )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def place_of(url: str) -> Place:
    """Take `url` apart. Raises Forbidden where it is not http(s) to a host, or has userinfo."""
    try:
        parsed = parse_url(url)
    except LocationParseError:
        raise Forbidden("the URL cannot be read") from None
    if parsed.scheme not in _PORTS or not parsed.host:
        raise Forbidden("the URL is not http:// or https:// with a host")
    if parsed.auth is not None:
        raise Forbidden("the URL holds a user name or password")
    port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
    return Place(parsed.scheme, parsed.host.strip("[]"), port, parsed.request_uri)


def resolve(place: Place) -> list[str]:
    """Every address of the host, best first, each once. Raises Unreachable."""
    asked = _resolvers.submit(socket.getaddrinfo, place.host, place.port, type=socket.SOCK_STREAM)
    try:
        return list(dict.fromkeys(str(found[4][0]) for found in asked.result(RESOLVE_S)))
    except WaitedTooLong:
        raise Unreachable(f"{place.host} was not resolved in {RESOLVE_S:g} s") from None
    except (OSError, UnicodeError):
        raise Unreachable(f"{place.host} cannot be resolved") from None


def is_public(address: str) -> bool:
    """Whether `address` is reached by the internet at large, wherever it is written inside."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        inside = _ipv4_inside(ip)
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _ipv4_inside(ip: IPv6Address) -> IPv4Address | None:
    if any(ip in network for network in _IPV4_AT_END):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


@contextmanager
def _watchdog(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """End what `connection` does after `seconds`: a receiver may send a byte now and then."""

    def bite() -> None:
        with suppress(OSError):  # it has ended by itself
            # not sock.shutdown: of a TLS socket that would take the state the reader still uses
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, bite)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise Unreachable(f"TLS: {error.reason or error}") from error
    except TimeoutError as error:
        raise Unreachable("it took too long") from error
    except (HTTPError, HTTPException, OSError) as error:
        # urllib3's own text repeats the address and the path
        raise Unreachable(f"no HTTP answer ({type(error).__name__})") from error


def _seconds(retry_after: str) -> float:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    if retry_after.isascii() and retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0
