"""Turn messages on the bus into calls of functions. Nothing here does any I/O."""

import hashlib
import json
import logging
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from cloudevents.http import CloudEvent

from microdemucs.bus import (
    FINISHED_SUBJECT,
    OLD_REQUEUE_SUBJECT,
    RANGE_SUBJECT,
    REQUEUE_SUBJECT,
    STARTED_SUBJECT,
)
from microdemucs.events import (
    DELIVERY,
    FINISHED,
    RANGE,
    STARTED,
    MalformedMessage,
    ObjectCreated,
    created_objects,
    object_from_record,
)
from microdemucs.jobs import job_id
from microdemucs.manifest import FAILURE, MANIFEST, BadDocument
from microdemucs.messages import Delivery, Finished, Message, RangeId, Requeue, Started

_MessageT = TypeVar("_MessageT", bound=Message)


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FunctionCall:
    """One event for one function; `song` is the object that it is about, if any.

    Calls with the same `concurrency_key` never run at the same time. Calls with the same
    `deduplication_key` are copies of each other; "" if a call has no copies. `lease` names what the
    function takes a lease on while it works, or is "".
    """

    event: CloudEvent
    song: ObjectCreated | None
    concurrency_key: str
    deduplication_key: str
    lease: str = ""

    @cached_property
    def job(self) -> str:
        """The id of the song's job, or ""."""
        return job_id(self.song) if self.song else ""


def song_calls(message: bytes, bucket: str, trace: str = "") -> list[FunctionCall]:
    """Return a call for each new song in `bucket` that a notification names.

    Other objects get no call. `trace` is the id of an existing trace, or "". Raises
    MalformedMessage.
    """
    calls = []
    for event, created in created_objects(message):
        if created.bucket != bucket:
            continue
        if not created.is_song:
            log.debug("object ignored: it is clearly no song", extra={"key": created.key})
            continue
        calls.append(
            FunctionCall(
                event=_with_traceparent(event, trace),
                song=created,
                concurrency_key=f"{created.bucket}/{created.key}",
                deduplication_key=_deduplication_key(event),
                lease=created.key,
            )
        )
    return calls


def separate_calls(subject: str, message: bytes, bucket: str) -> list[FunctionCall]:
    """Return the calls for a message of the stream SONGS: new songs, requeued songs and ranges.

    Raises MalformedMessage.
    """
    if subject == RANGE_SUBJECT:
        return [range_call(message)]
    if subject in (REQUEUE_SUBJECT, OLD_REQUEUE_SUBJECT):
        return song_calls(message, bucket, _read(Requeue, message).trace)
    return song_calls(message, bucket)


def range_call(message: bytes) -> FunctionCall:
    """Return the call for one range of a song.

    A song has `at_once` concurrency keys, so that at most so many of its ranges run at the same
    time. Raises MalformedMessage.
    """
    envelope = _read(_RangeEnvelope, message)
    song = object_from_record(envelope.song)
    slot = envelope.range.number % max(1, envelope.at_once)
    event = CloudEvent(
        {
            "id": _header_text("id", envelope.id),
            "source": "separate",
            "type": RANGE,
            "subject": song.key,
            "datacontenttype": "application/json",
        },
        json.loads(message),
    )
    return FunctionCall(
        event=_with_traceparent(event, envelope.trace),
        song=song,
        concurrency_key=f"{song.bucket}/{song.key}#{slot}",
        deduplication_key="",
        lease=f"{job_id(song)}/{envelope.range.number}",
    )


def result_calls(subject: str, message: bytes, overrides: Mapping[str, str]) -> list[FunctionCall]:
    """Return the calls for a message of the stream STEMS: result documents, and jobs' messages.

    `overrides` are the extensions of K_CE_OVERRIDES. Raises MalformedMessage.
    """
    if subject == STARTED_SUBJECT:
        return [_started_call(message, overrides)]
    if subject == FINISHED_SUBJECT:
        return [_finished_call(message, overrides)]
    calls = []
    for event, created in created_objects(message):
        if created.key.endswith((f"/{MANIFEST}", f"/{FAILURE}")):
            for name, value in overrides.items():
                event[name] = value
            calls.append(
                FunctionCall(
                    event=_with_traceparent(event),
                    song=created,
                    concurrency_key=created.key,
                    deduplication_key=_deduplication_key(event),
                )
            )
    return calls


def read_delivery(message: bytes) -> Delivery:
    """Read a message of the stream DELIVERIES. Raises MalformedMessage."""
    return _read(Delivery, message)


def delivery_call(delivery: Delivery) -> FunctionCall:
    """Return the call for the next attempt of a delivery. Raises MalformedMessage."""
    event = CloudEvent(
        {
            "id": _header_text("delivery", delivery.delivery),
            "source": "notify",
            "type": DELIVERY,
            "subject": _header_text("target", delivery.target),
            "datacontenttype": "application/json",
            "attempt": str(delivery.attempt),
        },
        delivery.data(),
    )
    return FunctionCall(
        event=_with_traceparent(event, delivery.trace),
        song=None,
        concurrency_key=delivery.delivery,
        deduplication_key="",
    )


def trace_of(event: CloudEvent) -> str:
    """Return the trace id, 32 hex digits, of an event that this module made."""
    return str(event["traceparent"]).split("-")[1]


class _RangeEnvelope(Message, frozen=True, kw_only=True):
    """The members of a RangeRequest by which a range is routed.

    The bridge leaves the rest to the separate function: if another version of it wrote the message,
    it runs the whole job again, which is better than a dead letter.
    """

    id: str
    song: dict[str, Any]
    range: RangeId
    at_once: int


def _started_call(message: bytes, overrides: Mapping[str, str]) -> FunctionCall:
    started = _read(Started, message)
    attributes = {
        "id": f"{_header_text('job', started.job)}.started",
        "type": STARTED,
        "subject": _header_text("key", started.song.key),
        "time": _header_text("started", started.started),
    }
    return _message_call(started, attributes, overrides)


def _finished_call(message: bytes, overrides: Mapping[str, str]) -> FunctionCall:
    finished = _read(Finished, message)
    which = finished.callback
    if not which:  # for webhooks: the job may fail more than once
        which = hashlib.sha256(finished.document.encode()).hexdigest()[:32]
    elif finished.key.endswith(f"/{FAILURE}"):  # a replayed job may still succeed
        which = f"{which}.failure"
    attributes = {
        "id": f"{_header_text('job', finished.job)}.{which}",
        "type": FINISHED,
        "subject": _header_text("key", finished.key),
    }
    return _message_call(finished, attributes, overrides)


def _message_call(
    message: Message, attributes: dict[str, str], overrides: Mapping[str, str]
) -> FunctionCall:
    """Return the call for a message of the separate function about one of its jobs."""
    common = {"source": "separate", "datacontenttype": "application/json"}
    event = CloudEvent({**common, **attributes, **overrides}, message.data())
    return FunctionCall(
        event=_with_traceparent(event, message.trace),
        song=None,
        concurrency_key=attributes["id"],
        deduplication_key=attributes["id"],
    )


def _read(type_: type[_MessageT], message: bytes) -> _MessageT:
    try:
        return type_.read(message)
    except BadDocument as error:
        raise MalformedMessage(f"message cannot be read: {error}") from error


def _header_text(name: str, value: str) -> str:
    """Return `value` if it can be a header: text that is not empty and can be encoded as UTF-8."""
    if not value:
        raise MalformedMessage(f"{name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage(f"{name}: {error}") from error
    return value


def _deduplication_key(event: CloudEvent) -> str:
    return f"{event['id']} {event['subject']}"


_IS_TRACE = re.compile("(?!0{32})[0-9a-f]{32}").fullmatch  # W3C Trace Context, section 3.2.2.3


def _with_traceparent(event: CloudEvent, trace: str = "") -> CloudEvent:
    """Set the event's traceparent. Without a valid `trace`, all its copies get the same new one."""
    if not _IS_TRACE(trace):
        trace = hashlib.sha256(_deduplication_key(event).encode()).hexdigest()[:32]
    span = random.randrange(1, 1 << 64)  # noqa: S311 (it is no secret, and copies need one, too)
    event["traceparent"] = f"00-{trace}-{span:016x}-01"
    return event
