"""What a message on the bus asks for: which event goes to which function. Pure."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cloudevents.http import CloudEvent

from microdemucs.bus import RANGE_SUBJECT, REQUEUE_SUBJECT, STARTED_SUBJECT
from microdemucs.events import (
    DELIVERY,
    RANGE,
    STARTED,
    MalformedMessage,
    ObjectCreated,
    created_objects,
    object_from_record,
)
from microdemucs.jobs import job_id
from microdemucs.manifest import FAILURE, MANIFEST


@dataclass(frozen=True)
class FunctionCall:
    """One event for one function.

    `song` is the object it is about, `turn` what is never worked on twice at once, and `same`
    what two copies of the same news have in common ("" where there are no copies).
    """

    event: CloudEvent
    song: ObjectCreated | None
    turn: str
    same: str

    @cached_property
    def job(self) -> str:
        """The id of the job that the song is."""
        return job_id(self.song) if self.song else ""


def song_calls(message: bytes, bucket: str, trace: str = "") -> list[FunctionCall]:
    """A call for each song in `bucket` that a notification tells of; other objects are left alone.

    `trace` is that of which the news is a part. Raises MalformedMessage.
    """
    return [
        FunctionCall(
            _traced(event, trace), created, f"{created.bucket}/{created.key}", _same(event)
        )
        for event, created in created_objects(message)
        if created.is_song and created.bucket == bucket
    ]


def waiting_calls(subject: str, message: bytes, bucket: str) -> list[FunctionCall]:
    """The same for all that waits in the stream of songs: songs, their ranges, and songs whose
    ranges are there.

    Raises MalformedMessage.
    """
    if subject == RANGE_SUBJECT:
        return [range_call(message)]
    trace = _read(message).get("trace", "") if subject == REQUEUE_SUBJECT else ""
    return song_calls(message, bucket, trace)


def range_call(message: bytes) -> FunctionCall:
    """The call for one range. A song has as many turns as it may have ranges in work at once.

    Raises MalformedMessage.
    """
    said = _read(message)
    song = object_from_record(said.get("song"))
    try:
        number, at_once = int(said["range"]["number"]), int(said["at_once"])
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(f"not a range of a song: {error!r}") from error
    event = CloudEvent(
        {
            "id": _text(said, "id"),
            "source": "separate",
            "type": RANGE,
            "subject": song.key,
            "datacontenttype": "application/json",
        },
        said,
    )
    turn = f"{song.bucket}/{song.key}#{number % max(1, at_once)}"
    return FunctionCall(_traced(event, said.get("trace", "")), song, turn, "")


def result_calls(subject: str, message: bytes, overrides: Mapping[str, Any]) -> list[FunctionCall]:
    """A call for each manifest or failure that a notification tells of, or for a started job.

    `overrides` are the extensions of K_CE_OVERRIDES. Raises MalformedMessage.
    """
    if subject == STARTED_SUBJECT:
        return [_started_call(message, overrides)]
    calls = []
    for event, created in created_objects(message):
        if created.key.endswith((f"/{MANIFEST}", f"/{FAILURE}")):
            for name, value in overrides.items():
                event[name] = value
            calls.append(FunctionCall(_traced(event), created, created.key, _same(event)))
    return calls


def delivery_call(message: bytes, attempt: int) -> FunctionCall:
    """The call for one attempt of a delivery; `attempt` counts from 1.

    Raises MalformedMessage.
    """
    said = _read(message)
    event = CloudEvent(
        {
            "id": _text(said, "delivery"),
            "source": "notify",
            "type": DELIVERY,
            "subject": _text(said, "target"),
            "datacontenttype": "application/json",
            "attempt": str(attempt),
        },
        said,
    )
    return FunctionCall(_traced(event, said.get("trace", "")), None, event["id"], "")


def _started_call(message: bytes, overrides: Mapping[str, Any]) -> FunctionCall:
    said = _read(message)
    event = CloudEvent(
        {
            "id": f"{_text(said, 'job')}.started",
            "source": "separate",
            "type": STARTED,
            "subject": _text(said.get("song"), "key"),
            "time": _text(said, "started"),
            "datacontenttype": "application/json",
            **overrides,
        },
        said,
    )
    return FunctionCall(_traced(event, said.get("trace", "")), None, event["id"], event["id"])


def _read(message: bytes) -> dict[str, Any]:
    try:
        said = json.loads(message)
    except ValueError as error:
        raise MalformedMessage(f"not JSON: {error}") from error
    if not isinstance(said, dict):
        raise MalformedMessage("not a JSON object")
    return said


def _text(said: Any, name: str) -> str:
    """A member that becomes a header, so it must be text that can be written."""
    value = said.get(name) if isinstance(said, dict) else None
    if not isinstance(value, str) or not value:
        raise MalformedMessage(f"{name} is not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage(f"{name}: {error}") from error
    return value


def _same(event: CloudEvent) -> str:
    return f"{event['id']} {event['subject']}"


_IS_TRACE = re.compile("(?!0{32})[0-9a-f]{32}").fullmatch  # W3C Trace Context, section 3.2.2.3


def _traced(event: CloudEvent, trace: Any = "") -> CloudEvent:
    """With a traceparent: the same trace for every copy and attempt of the same news."""
    if not isinstance(trace, str) or not _IS_TRACE(trace):
        trace = hashlib.sha256(_same(event).encode()).hexdigest()[:32]
    event["traceparent"] = f"00-{trace}-{secrets.token_hex(8)}-01"
    return event


def trace_of(event: CloudEvent) -> str:
    """The trace id, 32 hex digits, of an event made here."""
    return str(event["traceparent"]).split("-")[1]
