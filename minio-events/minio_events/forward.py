"""Post one CloudEvent to a function, and judge its answer.

Binary mode (CloudEvents HTTP binding 1.0, section 3.1), with the trace in `ce-traceparent`
(Distributed Tracing extension) and `traceparent` (W3C Trace Context).
"""

import email.utils
import re
import time
from dataclasses import dataclass
from datetime import UTC
from urllib.parse import quote

import aiohttp
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent

# What a header carries as it is (CloudEvents HTTP binding 1.0.2, section 3.1.3.2).
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})
_IS_PLAIN = re.compile(f"[{re.escape(_PLAIN)}]*").fullmatch
_IS_NUMBER = re.compile(r" *[0-9]+ *").fullmatch
_BUSY = {408, 425, 429}
MAX_RETRY_AFTER_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The function took it: 2xx."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later. `after` is what the function asked for, in s, or None.

    `counted` says whether the function began and failed: being busy or not there is no failure
    of this event.
    """

    reason: str
    after: float | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """It will never work as it is."""

    reason: str


Verdict = Accepted | Retry | Undeliverable


async def post(session: aiohttp.ClientSession, url: str, event: CloudEvent) -> Verdict:
    """Hand `event` to the function at `url`. Never raises for what the other side does."""
    headers, body = request(event)
    try:
        # A redirect is not followed: it would become a GET, whose 200 says nothing of the event.
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return judge(answer.status, answer.headers.get("Retry-After"))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return Retry("no connection", counted=False)
    except TimeoutError:
        return Retry("no answer in time")
    except aiohttp.ClientError as error:
        return Retry(f"connection lost: {type(error).__name__}")


def request(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """`event` as headers and body."""
    headers, body = to_binary(event)
    for name, value in headers.items():
        if name.startswith("ce-") and not _IS_PLAIN(value):
            headers[name] = quote(value, safe=_PLAIN)
    if "traceparent" in event:
        headers["traceparent"] = event["traceparent"]
    return headers, body


def judge(status: int, retry_after: str | None) -> Verdict:
    """What an HTTP answer says of the event that was posted."""
    if 200 <= status < 300:
        return Accepted()
    if status in _BUSY or status >= 500:
        return Retry(f"answer {status}", _seconds(retry_after), counted=status not in _BUSY)
    return Undeliverable(f"answer {status}")


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After as seconds from now: a number or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    if _IS_NUMBER(retry_after):
        return min(float(retry_after), MAX_RETRY_AFTER_S)
    try:
        then = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    in_utc = then if then.tzinfo else then.replace(tzinfo=UTC)
    return min(max(0.0, in_utc.timestamp() - time.time()), MAX_RETRY_AFTER_S)
