"""Post one CloudEvent to a function, and judge its answer.

Binary mode (CloudEvents HTTP binding 1.0, section 3.1), with the trace in `ce-traceparent`
(Distributed Tracing extension) and `traceparent` (W3C Trace Context).
"""

import email.utils
import re
import time
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent

# What a header carries as it is (CloudEvents HTTP binding 1.0.2, section 3.1.3.2).
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})
_IS_PLAIN = re.compile(f"[{re.escape(_PLAIN)}]*").fullmatch
_BUSY = {408, 425, 429}
MAX_RETRY_AFTER_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Done:
    """The function took it: 2xx."""


@dataclass(frozen=True, slots=True)
class Again:
    """It may work later. `after` is what the function asked for, in s, or None.

    `counted` says whether the function began and failed: being busy or not there is no failure
    of this event.
    """

    reason: str
    after: float | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """It will never work as it is."""

    reason: str


Verdict = Done | Again | Dead


async def post(session: aiohttp.ClientSession, url: str, event: CloudEvent) -> Verdict:
    """Hand `event` to the function at `url`. Never raises for what the other side does."""
    headers, body = to_binary(event)
    for name, value in headers.items():
        if not _IS_PLAIN(value):
            headers[name] = quote(value, safe=_PLAIN)
    if "traceparent" in event:
        headers["traceparent"] = event["traceparent"]
    try:
        async with session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            return judge(answer.status, answer.headers.get("Retry-After"))
    except aiohttp.ClientConnectorError:
        return Again("connection refused", counted=False)
    except TimeoutError:
        return Again("no answer in time")
    except aiohttp.ClientError as error:
        return Again(f"connection lost: {type(error).__name__}")


def judge(status: int, retry_after: str | None) -> Verdict:
    """What an HTTP answer says of the event that was posted."""
    if 200 <= status < 300:
        return Done()
    if status in _BUSY or status >= 500:
        return Again(f"answer {status}", _seconds(retry_after), counted=status not in _BUSY)
    return Dead(f"answer {status}")


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After as seconds from now: a number or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return min(float(retry_after), MAX_RETRY_AFTER_S)
    try:
        then = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except ValueError:
        return None
    return min(max(0.0, then - time.time()), MAX_RETRY_AFTER_S)
