"""The messages that one component publishes on the bus and another reads (docs/events.md).

Each has one writer and one reader here. Bucket notifications are in microdemucs.events.
"""

import hashlib
from enum import StrEnum
from typing import Any, Self

import msgspec
from msgspec import Struct

from microdemucs.addresses import ForbiddenUrl, parse_webhook_url
from microdemucs.audio_facts import AudioFacts
from microdemucs.bus import NEW_SUBJECT
from microdemucs.events import ObjectCreated, object_from_record, record_of
from microdemucs.manifest import StoredSong, convert, decode


class Message(Struct, frozen=True, kw_only=True):
    """A message as JSON. `trace` is the 32 hex digits of a W3C trace, or ""."""

    trace: str = ""

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Read what `write` wrote. Raises BadDocument."""
        return decode(text, cls)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Read the message from the data of a CloudEvent: parsed JSON. Raises BadDocument."""
        return convert(data, cls)

    def write(self) -> bytes:
        """Return the message as JSON."""
        return msgspec.json.encode(self)

    def data(self) -> dict[str, Any]:
        """Return the message as the data of a CloudEvent."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        return members


class Started(Message, frozen=True, kw_only=True):
    """separation.started: a job began. `started` is RFC 3339, `model` the model's name."""

    job: str
    song: StoredSong
    options: dict[str, Any]
    model: str
    started: str


class Finished(Message, frozen=True, kw_only=True):
    """separation.finished: a job ended, for the callback of one request.

    `callback` is its id; "" if it is for all webhooks, as no document in the bucket tells them: the
    job's message became a dead letter. `document` is the text of the manifest or failure, `key` the
    object's key: the object itself may be that of a later job by now.
    """

    job: str
    callback: str = ""
    key: str
    document: str


class RangeId(Struct, frozen=True):
    """Range `number` (from 0) `of` so many.

    `plan` identifies how the song was divided: ranges of different plans do not fit together.
    """

    number: int
    of: int
    plan: str


class RangeRequest(Message, frozen=True, kw_only=True):
    """separation.range: separate one range of a song.

    `song` is the song as an S3 event record. At most `at_once` ranges of it are in work at a time.
    """

    id: str
    song: dict[str, Any]
    range: RangeId
    at_once: int
    audio: AudioFacts

    @property
    def stored_song(self) -> ObjectCreated:
        """The song. Raises MalformedMessage."""
        return object_from_record(self.song)


class Requeue(Message, frozen=True, kw_only=True):
    """separation.requeue: run a job again, since its ranges are done or cannot be.

    It has the form of a bucket notification, so that the bridge routes it as one.
    """

    Records: list[dict[str, Any]]

    @staticmethod
    def of(song: ObjectCreated, request_id: str, trace: str) -> "Requeue":
        """Run the job of `song` again; `request_id` makes this message unique."""
        return Requeue(Records=[record_of(song, request_id)], trace=trace)


class Delivery(Message, frozen=True, kw_only=True):
    """deliveries.new.<receiver>.<target>: one event for one target.

    `delivery` is its id, `body` the exact text that is posted. `target` is a webhook's id, or
    `callback.<callback id>`: a key in the bucket `webhooks`. `receiver` is the scheme, host and
    port of the target's URL when the delivery was made. `created` is RFC 3339. `attempt` is the
    number of the next attempt, from 1.
    """

    delivery: str
    target: str
    receiver: str = ""
    body: str
    job: str
    created: str
    attempt: int = 1

    @property
    def subject(self) -> str:
        """The subject of the queue of deliveries to this target.

        All targets at one receiver have the same third token, <host>_<receiver>, and all targets at
        one host the same first half of it.
        """
        receiver = f"{_digest(_host(self.receiver))}_{_digest(self.receiver)}"
        return f"{NEW_SUBJECT}.{receiver}.{self.target}"


class DeliveryState(StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    """The next attempt is due at `next`."""
    FAILED = "failed"
    """There is no other attempt."""


class Attempt(Message, frozen=True, kw_only=True):
    """attempts.<webhook id>: one attempt of a delivery to a webhook.

    `attempt` counts from 1. `status` is that of the response, 0 if there was none. `reason` says
    why the attempt failed. `time` and `next`, when the next one is due, are RFC 3339.
    """

    delivery: str
    type: str
    job: str
    attempt: int
    time: str
    state: DeliveryState
    status: int = 0
    reason: str = ""
    next: str = ""


def _host(receiver: str) -> str:
    try:
        return parse_webhook_url(receiver).site
    except ForbiddenUrl:
        return receiver


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
