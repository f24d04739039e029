"""The notify function: turn the results of jobs into webhook deliveries, and attempt those.

A result event becomes one message per delivery on the bus. The bridge sends each message back
as an event when it is due, and that event is one attempt. The process keeps no state between two
events.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import flask
import functions_framework
from cloudevents.http import CloudEvent

from functions.notify.attempts import attempt_delivery
from functions.notify.context import Context, build_context, context
from functions.notify.deliveries import (
    JobEvent,
    completed_event,
    deliveries_for,
    failed_event,
    started_event,
)
from microdemucs import events, logs, service
from microdemucs.bus import WEBHOOKS, Message
from microdemucs.event_guard import Access, guard_events
from microdemucs.events import object_from_record
from microdemucs.lazy import Lazy
from microdemucs.manifest import BadDocument, Failure, Manifest
from microdemucs.messages import Delivery, Finished, Started
from microdemucs.plain_numbers import whole_number
from microdemucs.problems import Problem, RetryLater, now
from microdemucs.result_check import read_result
from microdemucs.result_store import is_result_document, read_result_document
from microdemucs.webhooks import CallbackRecord, WebhookRecord, callback_key, is_callback_id

log = logging.getLogger(__name__)


def check_ready() -> None:
    """Raise a Problem if a setting is not accepted or the bus cannot be reached."""
    if not context().bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=3)


def event_access() -> Access:
    """Return what the guard of this function's events needs. Raises BadSetting."""
    settings = context().settings
    return Access(settings.server.host, settings.events_secret)


# functions-framework imports this module inside the context of the app that serves it.
flask.current_app.extensions["context"] = Lazy(build_context)
service.install_probes_and_errors(flask.current_app, check_ready)
guard_events(flask.current_app, event_access)


@functions_framework.cloud_event
def notify(event: CloudEvent) -> None:
    """Publish the deliveries of a job's event, or attempt one delivery. Ignore other events."""
    service.answer_without_content()
    ctx = context()
    try:
        if event["type"] == events.DELIVERY:
            _attempt(ctx, event)
        elif event["type"] == events.FINISHED:
            _publish_finished(ctx, Finished.from_data(event.data))
        elif job_event := _read_job_event(ctx, event):
            _publish_deliveries(ctx, job_event, ctx.webhooks.webhooks())
    # BadDocument, MalformedMessage, or what cannot be encoded
    except (ValueError, RecursionError, OverflowError) as error:
        log.error("event cannot be read", exc_info=error)
        raise Problem(400, "bad-event", "The event cannot be read", str(error)) from error


def _attempt(ctx: Context, event: CloudEvent) -> None:
    delivery = Delivery.from_data(event.data)
    with logs.context(job=delivery.job, trace=delivery.trace, delivery=delivery.delivery):
        attempt_delivery(ctx, delivery, _attempt_number(event))


def _attempt_number(event: CloudEvent) -> int:
    value = str(event.get("attempt"))
    attempt = whole_number(value)
    if not attempt:
        raise BadDocument(f"attempt is {value!r}; it must be a whole number from 1")
    return attempt


def _read_job_event(ctx: Context, event: CloudEvent) -> JobEvent | None:
    """Return the job's event that a bus event stands for; None if there is none."""
    if event["type"] == events.STARTED:
        return started_event(Started.from_data(event.data))
    if not event["type"].startswith("com.amazonaws.s3.ObjectCreated:"):
        return None
    created = object_from_record(event.data)
    if created.bucket != ctx.stems.name or not is_result_document(created.key):
        return None
    result = read_result_document(ctx.stems, created.key)
    return _result_event(ctx, result) if result else None  # it may be removed by now


def _result_event(ctx: Context, result: Manifest | Failure) -> JobEvent:
    if isinstance(result, Manifest):
        return completed_event(result, lambda key: _link(ctx, key))
    return failed_event(result)


def _link(ctx: Context, key: str) -> str:
    return ctx.public_stems.presigned_url(key, timedelta(hours=ctx.settings.link_hours), {})


def _publish_finished(ctx: Context, finished: Finished) -> None:
    result = read_result(finished.key, finished.document.encode())
    event = replace(_result_event(ctx, result), callback=finished.callback)
    _publish_deliveries(ctx, event, () if finished.callback else ctx.webhooks.webhooks())


def _publish_deliveries(ctx: Context, event: JobEvent, webhooks: Iterable[WebhookRecord]) -> None:
    with logs.context(job=event.job, trace=event.trace):
        callback = _callback(ctx, event)
        deliveries = list(deliveries_for(event, webhooks, callback, ctx.settings.source, now()))
        ctx.bus.publish_all(
            [Message(each.subject, each.write(), each.delivery) for each in deliveries]
        )
        log.info("deliveries published", extra={"type": event.type, "count": len(deliveries)})


def _callback(ctx: Context, event: JobEvent) -> CallbackRecord | None:
    """Return the event's callback; None if it has none, or one that is not of its song."""
    if not event.callback:
        return None
    if is_callback_id(event.callback):
        callback = _read_callback(ctx, event.callback)
        if callback and callback.song == event.subject:
            return callback
    log.warning("callback ignored: the song has no such callback")
    return None


def _read_callback(ctx: Context, id_: str) -> CallbackRecord | None:
    """Return the callback's record; None if it was removed or cannot be read."""
    entry = ctx.bus.get(WEBHOOKS, callback_key(id_))
    if entry is None or entry.value is None:
        return None
    try:
        return CallbackRecord.read(entry.value)
    except BadDocument as error:  # one unreadable record must not stop the other deliveries
        about = {"target": entry.key, "reason": str(error)}
        log.error("webhook record cannot be read", extra=about)
        return None
