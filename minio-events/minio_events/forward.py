"""Post one CloudEvent to a function, and judge the response.

Binary mode (CloudEvents HTTP binding 1.0, section 3.1). The trace is in `ce-traceparent`
(Distributed Tracing extension) and in `traceparent` (W3C Trace Context).
"""

import json
import re
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from cloudevents.http import CloudEvent

from microdemucs.event_signature import ATTRIBUTE, sign
from microdemucs.retry_after import parse_retry_after

# Header characters that are not percent-encoded (CloudEvents HTTP binding 1.0.2, section 3.1.3.2).
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})
_IS_PLAIN = re.compile(f"[{re.escape(_PLAIN)}]*").fullmatch
_CONTENT_TYPE = "datacontenttype"
_BUSY = {408, 425, 429}
# The secrets differ, for example while they are being changed.
_UNSIGNED = 401


@dataclass(frozen=True, slots=True)
class Accepted:
    """The function accepted the event: 2xx."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The error is temporary. `after` is the function's Retry-After in seconds, or None.

    `counted` is False if the function did not even begin, because it was busy or could not be
    reached: that is no failed attempt of this event.
    """

    reason: str
    after: float | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The function will never accept the event."""

    reason: str


Verdict = Accepted | Retry | Undeliverable


async def post(
    session: aiohttp.ClientSession,
    url: str,
    event: CloudEvent,
    secret: str,
    seconds: float | None = None,
) -> Verdict:
    """Post `event`, signed with `secret`, to the function at `url`.

    The request may take `seconds`, by default as long as the session allows. Every failure of the
    other side becomes a verdict.
    """
    headers, body = signed_request(event, secret)
    limit = session.timeout
    if seconds is not None:
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=limit.sock_connect)
    try:
        # Redirects are not followed: the POST would become a GET, whose 200 would mean nothing.
        async with session.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=limit
        ) as response:
            await response.read()
            return judge(response.status, response.headers.get("Retry-After"))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return Retry("no connection", counted=False)
    except TimeoutError:
        return Retry("no answer in time")
    except aiohttp.ClientError as error:
        return Retry(f"connection lost: {type(error).__name__}")


def signed_request(event: CloudEvent, secret: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of `event` in binary mode, with its signature."""
    headers, body = binary_request(event)
    return headers | {f"ce-{ATTRIBUTE}": sign(event, secret)}, body


def binary_request(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of `event`, whose data is JSON, in binary mode.

    The library's own `to_binary` takes as long as the whole request to a function, and does not
    percent-encode.
    """
    attributes = event.get_attributes()
    headers = {
        f"ce-{name}": value if _IS_PLAIN(value) else quote(value, safe=_PLAIN)
        for name, value in attributes.items()
        if name != _CONTENT_TYPE
    }
    headers["content-type"] = attributes.get(_CONTENT_TYPE, "application/json")
    if "traceparent" in attributes:
        headers["traceparent"] = attributes["traceparent"]
    return headers, json.dumps(event.get_data()).encode()


def judge(status: int, retry_after: str | None) -> Verdict:
    """Return what an HTTP response means for the event."""
    if 200 <= status < 300:
        return Accepted()
    if status in _BUSY or status == _UNSIGNED or status >= 500:
        after = parse_retry_after(retry_after)
        return Retry(f"answer {status}", after, counted=status not in _BUSY)
    return Undeliverable(f"answer {status}")
