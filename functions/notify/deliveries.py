"""Which event goes to which webhook, and when a failed attempt is repeated. Pure.

A webhook's payload is a CloudEvent in its JSON form. The delivery id, the signature and the
retry schedule follow Standard Webhooks (standardwebhooks.com).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec

from microdemucs.addresses import ForbiddenUrl, parse_webhook_url
from microdemucs.events import COMPLETED, FAILED, STARTED
from microdemucs.manifest import Failure, Manifest
from microdemucs.messages import Delivery, Started
from microdemucs.webhooks import CallbackRecord, WebhookRecord, callback_key, is_callback

SCHEDULE = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds between attempts, as Standard Webhooks recommends. The first attempt is at once."""

_MOST_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job, before it is addressed to anybody.

    `time` is RFC 3339. `callback` is the id of the job's callback, or "". `data` holds JSON
    values and documents.
    """

    type: str
    job: str
    subject: str
    time: str
    trace: str
    callback: str
    data: Mapping[str, Any]


def started_event(started: Started) -> JobEvent:
    """Return the event of a job that has started. Callbacks do not receive it."""
    return JobEvent(
        type=STARTED,
        job=started.job,
        subject=started.song.key,
        time=started.started,
        trace=started.trace,
        callback="",
        data={
            "job": started.job,
            "song": started.song,
            "options": started.options,
            "model": {"name": started.model},
        },
    )


def completed_event(manifest: Manifest, link: Callable[[str], str]) -> JobEvent:
    """Return the event of a job that is done; `link` returns the URL of a stem's key."""
    return JobEvent(
        type=COMPLETED,
        job=manifest.job,
        subject=manifest.song.key,
        time=manifest.finished,
        trace=manifest.trace,
        callback=manifest.callback,
        data={
            "job": manifest.job,
            "song": manifest.song,
            "options": manifest.options,
            "model": manifest.model,
            "timings": manifest.timings,
            "warnings": manifest.warnings,
            "stems": [
                msgspec.to_builtins(stem) | {"url": link(stem.key)} for stem in manifest.stems
            ],
        },
    )


def failed_event(failure: Failure) -> JobEvent:
    """Return the event of a job that failed or was cancelled."""
    return JobEvent(
        type=FAILED,
        job=failure.job,
        subject=failure.song.key,
        time=failure.finished,
        trace=failure.trace,
        callback=failure.callback,
        data={
            "job": failure.job,
            "song": failure.song,
            "options": failure.options,
            "problem": failure.problem,
        },
    )


def deliveries_for(
    event: JobEvent,
    webhooks: Iterable[WebhookRecord],
    callback: CallbackRecord | None,
    source: str,
    created: str,
) -> Iterator[Delivery]:
    """Yield a delivery for each active webhook of the event's type, and one for the callback.

    `callback` is the job's own, `source` the deployment's URL, `created` the current time. The
    same event gives deliveries with the same ids, so that the bus can deduplicate them.
    """
    for webhook in webhooks:
        if webhook.active and event.type in webhook.events:
            yield _delivery(event, webhook.id, webhook.url, source, created, event.data)
    if callback is not None:
        target = callback_key(event.callback)
        data = {**event.data, "callback": callback.data}
        yield _delivery(event, target, callback.url, source, created, data)


def next_delay(
    delivery_id: str,
    attempt: int,
    age: float,
    schedule: Sequence[float],
    retry_after: float = 0,
) -> float | None:
    """Return the seconds until the next attempt, or None if the schedule has ended.

    `attempt` has just failed; it counts from 1. `age` is the delivery's, in seconds.
    `retry_after` is the receiver's Retry-After in seconds. The schedule's delay grows by up to a
    tenth, which depends on the delivery and the attempt: deliveries that failed together are
    not repeated together. See "How a webhook is retried" in docs/events.md.
    """
    # `attempt` also counts requests that did not reach notify. A delivery of this age cannot have
    # had more real attempts than the schedule allows up to now.
    attempt = min(attempt, 1 + sum(age >= offset for offset in accumulate(schedule)))
    if attempt > len(schedule):
        return None
    digest = hashlib.sha256(f"{delivery_id} {attempt}".encode()).digest()
    jitter = _MOST_JITTER * digest[0] / 255
    return max(schedule[attempt - 1] * (1 + jitter), retry_after)


def _delivery(
    event: JobEvent, target: str, url: str, source: str, created: str, data: Mapping[str, Any]
) -> Delivery:
    # Each request has a callback of its own, and gets each outcome once, however often its job
    # ended. A second outcome comes only from a dead letter that is replayed.
    when = [event.type] if is_callback(target) else [event.type, event.time]
    identity = json.dumps([event.job, *when, target])
    id_ = "msg_" + hashlib.sha256(identity.encode()).hexdigest()[:32]
    body = {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return Delivery(
        delivery=id_,
        target=target,
        receiver=_receiver(url),
        body=msgspec.json.encode(body).decode(),
        job=event.job,
        trace=event.trace,
        created=created,
    )


def _receiver(url: str) -> str:
    try:
        return parse_webhook_url(url).name
    except ForbiddenUrl:  # its attempt says why
        return ""
