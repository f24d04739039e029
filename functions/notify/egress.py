"""POST to a webhook's URL, if that is allowed.

Whoever registers a webhook makes this process send requests (server-side request forgery), so by
default only public addresses are reached. The host is resolved here, every address is checked,
and the connection goes to an address that was checked: a name that resolves differently a moment
later (DNS rebinding) gains nothing. Redirects are not followed and proxies of the environment
are not used, since both would choose another address.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from functions.notify.final_response import FinalResponse
from functions.notify.resolver import NotResolved, Resolver
from microdemucs.addresses import ForbiddenUrl, WebhookUrl, is_public, parse_webhook_url
from microdemucs.lazy import Lazy
from microdemucs.retry_after import parse_retry_after

RESOLVE_S, CONNECT_S, TOTAL_S = 3.0, 3.0, 15.0
_RESPONSE_BYTES = 64 * 1024
"""How much of a response's body is read before the connection is closed."""


class Unreachable(Exception):
    """There was no HTTP response. The text says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """A receiver's response. `retry_after` is in seconds, 0.0 if there is no such header."""

    status: int
    retry_after: float = 0.0


def _lazy_resolver() -> Lazy[Resolver]:
    return Lazy(Resolver)


@dataclass(frozen=True, slots=True)
class Egress:
    """Sends requests to webhooks, to public addresses only unless `allow_private`.

    `ca_file` is a PEM file of certificate authorities to trust beside the system's, or "".
    """

    allow_private: bool = False
    ca_file: str = ""
    resolver: Lazy[Resolver] = field(default_factory=_lazy_resolver, repr=False, compare=False)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """POST `body` to `url` within about TOTAL_S.

        Raises ForbiddenUrl if the URL or an address of its host is not allowed, and Unreachable
        if there is no HTTP response in time.
        """
        began = time.monotonic()
        destination = parse_webhook_url(url)
        addresses = self._resolve(destination)
        if not self.allow_private:
            _require_public(destination, addresses)
        with _map_errors(), closing(self._connect_any(destination, addresses)) as connection:
            left = max(1.0, began + TOTAL_S - time.monotonic())
            connection.timeout = left  # of each read; the time limit ends a slow sequence of them
            with _time_limit(connection, left):
                connection.request(
                    "POST",
                    destination.path,
                    body=body,
                    headers={"Host": destination.authority, "Connection": "close", **headers},
                    preload_content=False,
                )
                response = connection.getresponse()
                with suppress(HTTPError, HTTPException, OSError):  # the status is enough
                    response.read(_RESPONSE_BYTES)
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        return Response(response.status, retry_after or 0.0)

    def _resolve(self, destination: WebhookUrl) -> list[str]:
        try:
            return self.resolver().resolve(destination.host, RESOLVE_S)
        except NotResolved as error:
            raise Unreachable(str(error)) from None

    def _connect_any(self, destination: WebhookUrl, addresses: list[str]) -> HTTPConnection:
        first, *others = addresses
        try:
            return self._connect(destination, first)
        except (HTTPError, OSError):
            # One more address, as of a host with IPv6 and IPv4: the time does not allow for all.
            if not others:
                raise
            return self._connect(destination, others[0])

    def _connect(self, destination: WebhookUrl, address: str) -> HTTPConnection:
        if destination.scheme == "http":
            connection = HTTPConnection(address, destination.port, timeout=CONNECT_S)
        else:
            ssl_context = ssl.create_default_context()
            if self.ca_file:
                ssl_context.load_verify_locations(self.ca_file)
            connection = HTTPSConnection(
                address,
                destination.port,
                timeout=CONNECT_S,
                ssl_context=ssl_context,
                server_hostname=destination.host,
            )
        connection.response_class = FinalResponse
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def _require_public(destination: WebhookUrl, addresses: list[str]) -> None:
    for address in addresses:
        if not is_public(address):
            raise ForbiddenUrl(
                f"{destination.host} has the address {address}, which is not public; "
                "WEBHOOK_ALLOW_PRIVATE allows such addresses"
            )


@contextmanager
def _time_limit(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut the connection after `seconds`, even if the receiver sends a byte now and then."""

    def cut() -> None:
        with suppress(OSError):  # it is already closed
            # Not sock.shutdown: for a TLS socket that drops the state that the reader still uses.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _map_errors() -> Iterator[None]:
    """Raise Unreachable for every error of the connection."""
    try:
        yield
    except ssl.SSLError as error:
        raise Unreachable(f"TLS failed: {error.reason or error}") from error
    except TimeoutError as error:
        raise Unreachable("the receiver did not respond in time") from error
    except (HTTPError, HTTPException, OSError) as error:
        # urllib3's own text repeats the address and the path, which can hold secrets.
        raise Unreachable(f"there was no HTTP response ({type(error).__name__})") from error
