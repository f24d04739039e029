"""Tell webhooks what became of a song.

A result becomes one message per delivery on the bus; each message comes back as an event when
it is due, and is one attempt. Nothing is kept here between two events.
"""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import flask
import functions_framework
from cloudevents.http import CloudEvent

from functions.notify.attempts import attempt
from functions.notify.context import Context, parts
from functions.notify.deliveries import (
    CALLBACK,
    Delivery,
    JobEvent,
    completed,
    deliveries_for,
    failed,
    started,
)
from microdemucs import events, logs, service
from microdemucs.bus import WEBHOOKS
from microdemucs.events import MalformedMessage, object_from_record
from microdemucs.jobs import FAILURE, MANIFEST
from microdemucs.problems import Problem, RetryLater, now
from microdemucs.store import read_json

log = logging.getLogger(__name__)


def ready() -> None:
    """Raises Problem where a setting cannot be used or the bus is away."""
    if not parts().bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=3)


service.install_probes_and_errors(flask.current_app, ready)


@functions_framework.cloud_event
def notify(event: CloudEvent) -> None:
    """A result goes out to all who want it; a delivery is attempted once; the rest is ignored."""
    service.no_content()
    have = parts()
    try:
        if event["type"] == events.DELIVERY:
            _attempt(have, event)
        elif news := _news(have, event):
            _announce(have, news)
    except (KeyError, TypeError, ValueError, MalformedMessage) as error:
        log.error("event cannot be read", exc_info=error)
        raise Problem(400, "bad-event", "The event does not hold what its type says") from error


def _attempt(have: Context, event: CloudEvent) -> None:
    delivery = Delivery.read(event.data)
    with logs.about(job=delivery.job, trace=delivery.trace, delivery=delivery.delivery):
        attempt(have, delivery, int(event["attempt"]))


def _news(have: Context, event: CloudEvent) -> JobEvent | None:
    if event["type"] == events.STARTED:
        return started(event.data)
    if not event["type"].startswith("com.amazonaws.s3.ObjectCreated:"):
        return None
    created = object_from_record(event.data)
    name = created.key.rpartition("/")[2]
    if created.bucket != have.names.stems or name not in (MANIFEST, FAILURE):
        return None
    document = read_json(have.store, created.bucket, created.key)
    if document is None:  # removed since, and so nothing to tell of
        return None
    return failed(document) if name == FAILURE else completed(document, _links(have))


def _links(have: Context) -> Callable[[str], str]:
    hold = timedelta(hours=have.settings.link_hours)

    def link(key: str) -> str:
        return have.links.presigned_get_object(have.names.stems, key, expires=hold)

    return link


def _callback(have: Context, news: JobEvent) -> dict[str, Any] | None:
    entry = have.bus.get(WEBHOOKS, CALLBACK + news.callback) if news.callback else None
    return json.loads(entry.value) if entry and entry.value else None


def _announce(have: Context, news: JobEvent) -> None:
    with logs.about(job=news.job, trace=news.trace):
        # a webhook's id has no dot: `*` leaves the callbacks out, which may be many
        webhooks = [json.loads(entry.value or b"{}") for entry in have.bus.entries(WEBHOOKS, "*")]
        source, callback = have.settings.source, _callback(have, news)
        told = list(deliveries_for(news, webhooks, callback, source, now()))
        for delivery in told:
            id_ = delivery.delivery
            have.bus.publish(f"deliveries.{id_}", delivery.write(), id_)
        log.info("announced", extra={"type": news.type, "deliveries": len(told)})
