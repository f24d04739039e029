"""One POST to a webhook, if it may go there.

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

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from microdemucs.addresses import ForbiddenUrl, WebhookUrl, is_public, parse_webhook_url

RESOLVE_S, CONNECT_S, TOTAL_S = 3.0, 3.0, 15.0
_ANSWER_BYTES = 64 * 1024  # what a polite receiver may answer before it is cut off
# getaddrinfo has no time limit of its own.
_resolvers = ThreadPoolExecutor(8, "resolve")


class Unreachable(Exception):
    """There was no answer; the text says why."""


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

        Raises ForbiddenUrl where it may not go there, Unreachable where no answer came.
        """
        began = time.monotonic()
        place = parse_webhook_url(url)
        found = resolve(place)
        if not self.allow_private and not all(map(is_public, found)):
            raise ForbiddenUrl(f"{place.host} has an address that is not public")
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

    def _first_that_answers(self, place: WebhookUrl, found: list[str]) -> HTTPConnection:
        first, *others = found
        try:
            return self._connected(place, first)
        except (HTTPError, OSError):  # one more, as of a host with IPv6 and IPv4: time is short
            if not others:
                raise
            return self._connected(place, others[0])

    def _connected(self, place: WebhookUrl, address: str) -> HTTPConnection:
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


def resolve(place: WebhookUrl) -> list[str]:
    """Every address of the host, best first, each once. Raises Unreachable."""
    asked = _resolvers.submit(socket.getaddrinfo, place.host, place.port, type=socket.SOCK_STREAM)
    try:
        return list(dict.fromkeys(str(found[4][0]) for found in asked.result(RESOLVE_S)))
    except WaitedTooLong:
        raise Unreachable(f"{place.host} was not resolved in {RESOLVE_S:g} s") from None
    except (OSError, UnicodeError):
        raise Unreachable(f"{place.host} cannot be resolved") from None


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
