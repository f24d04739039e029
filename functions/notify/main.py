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
from functions.notify.context import Context, build_context, context
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
from microdemucs.lazy import Lazy
from microdemucs.manifest import FAILURE, MANIFEST
from microdemucs.problems import Problem, RetryLater, now
from microdemucs.store import read_json

log = logging.getLogger(__name__)


def check_ready() -> None:
    """Raises Problem where a setting cannot be used or the bus is away."""
    if not context().bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=3)


flask.current_app.extensions["context"] = Lazy(build_context)
service.install_probes_and_errors(flask.current_app, check_ready)


@functions_framework.cloud_event
def notify(event: CloudEvent) -> None:
    """A result goes out to all who want it; a delivery is attempted once; the rest is ignored."""
    service.answer_without_content()
    ctx = context()
    try:
        if event["type"] == events.DELIVERY:
            _attempt(ctx, event)
        elif news := _news(ctx, event):
            _announce(ctx, news)
    except (KeyError, TypeError, ValueError, MalformedMessage) as error:
        log.error("event cannot be read", exc_info=error)
        raise Problem(400, "bad-event", "The event does not hold what its type says") from error


def _attempt(ctx: Context, event: CloudEvent) -> None:
    delivery = Delivery.read(event.data)
    with logs.context(job=delivery.job, trace=delivery.trace, delivery=delivery.delivery):
        attempt(ctx, delivery, int(event["attempt"]))


def _news(ctx: Context, event: CloudEvent) -> JobEvent | None:
    if event["type"] == events.STARTED:
        return started(event.data)
    if not event["type"].startswith("com.amazonaws.s3.ObjectCreated:"):
        return None
    created = object_from_record(event.data)
    name = created.key.rpartition("/")[2]
    if created.bucket != ctx.names.stems or name not in (MANIFEST, FAILURE):
        return None
    document = read_json(ctx.store, created.bucket, created.key)
    if document is None:  # removed since, and so nothing to tell of
        return None
    return failed(document) if name == FAILURE else completed(document, _links(ctx))


def _links(ctx: Context) -> Callable[[str], str]:
    hold = timedelta(hours=ctx.settings.link_hours)

    def link(key: str) -> str:
        return ctx.links.presigned_get_object(ctx.names.stems, key, expires=hold)

    return link


def _callback(ctx: Context, news: JobEvent) -> dict[str, Any] | None:
    entry = ctx.bus.get(WEBHOOKS, CALLBACK + news.callback) if news.callback else None
    return json.loads(entry.value) if entry and entry.value else None


def _announce(ctx: Context, news: JobEvent) -> None:
    with logs.context(job=news.job, trace=news.trace):
        # a webhook's id has no dot: `*` leaves the callbacks out, which may be many
        webhooks = [json.loads(entry.value or b"{}") for entry in ctx.bus.entries(WEBHOOKS, "*")]
        source, callback = ctx.settings.source, _callback(ctx, news)
        told = list(deliveries_for(news, webhooks, callback, source, now()))
        for delivery in told:
            id_ = delivery.delivery
            ctx.bus.publish(f"deliveries.{id_}", delivery.write(), id_)
        log.info("announced", extra={"type": news.type, "deliveries": len(told)})
