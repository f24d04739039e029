"""The stream QUEUE: what the separate function has to do, with one subject for each submitter.

A message stays in the stream until it is done, so a bridge that ends loses none. The server finds
the next message of a submitter without reading those of the others.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError

from microdemucs.bus import QUEUE, QUEUE_SUBJECT_PREFIX
from minio_events.bus_requests import BusRequests

_SUBJECT = "Song-Subject"
_TIMEOUT_S = 5.0
_NO_MESSAGE = 10057  # the server's code of an error if there is no such message
_END, _NOTHING = "204", "404"  # of a batch (NATS ADR-31)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message of the queue. `subject` and `body` are those that it had in the stream SONGS."""

    number: int
    subject: str
    body: bytes


class SongQueue:
    """The stream QUEUE. Methods raise nats.errors.Error if the bus is away."""

    def __init__(self, client: Client) -> None:
        self._js = client.jetstream(timeout=_TIMEOUT_S)
        self._requests = BusRequests(client, _TIMEOUT_S)

    async def put(self, submitter: str, msg: Msg) -> tuple[int, bool]:
        """Copy a message of the stream SONGS to the end of a submitter's queue.

        Return its number there, and whether it is new: a second time, within an hour, changes
        nothing.
        """
        headers = {_SUBJECT: msg.subject, "Nats-Msg-Id": str(msg.metadata.sequence.stream)}
        subject = f"{QUEUE_SUBJECT_PREFIX}.{submitter}"
        answer = _read_answer(await self._requests.send(subject, msg.data, headers))
        return int(answer["seq"]), not answer.get("duplicate", False)

    async def lengths(self) -> dict[str, int]:
        """Return how many messages each submitter has in the queue, by `queue_name`."""
        prefix = f"{QUEUE_SUBJECT_PREFIX}."
        state = (await self._js.stream_info(QUEUE, subjects_filter=f"{prefix}>")).state
        counts = state.subjects or {}
        return {subject.removeprefix(prefix): int(counts[subject]) for subject in counts}

    async def read(self, submitter: str, after: int, most: int) -> list[QueuedMessage]:
        """Return the submitter's first messages behind number `after`, at most so many.

        nats-py does not know this request (NATS ADR-31, batched direct get).
        """
        request = {
            "seq": after + 1,
            "next_by_subj": f"{QUEUE_SUBJECT_PREFIX}.{submitter}",
            "batch": most,
        }
        subject = f"$JS.API.DIRECT.GET.{QUEUE}"
        *answers, last = await self._requests.send_for_many(subject, json.dumps(request).encode())
        if JetStreamContext.is_status_msg(last) not in (_END, _NOTHING):
            raise nats.errors.NoRespondersError  # the stream's server is away
        return [_queued(answer) for answer in answers]

    async def remove(self, number: int) -> None:
        """Remove a message that is done. If it is gone already, nothing happens."""
        # not nats-py's delete_msg, which has the server overwrite the message on its disk
        subject = f"$JS.API.STREAM.MSG.DELETE.{QUEUE}"
        request = b'{"seq":%d,"no_erase":true}' % number
        try:
            _read_answer(await self._requests.send(subject, request, {}))
        except APIError as error:
            if error.err_code != _NO_MESSAGE:
                raise


def _read_answer(answer: Msg) -> dict[str, Any]:
    """Return the members of an answer of the server. Raises APIError if it is an error."""
    members: dict[str, Any] = msgspec.json.decode(answer.data)
    if error := members.get("error"):
        raise APIError.from_error(error)
    return members


def _queued(answer: Msg) -> QueuedMessage:
    headers = answer.headers or {}
    return QueuedMessage(int(headers["Nats-Sequence"]), headers.get(_SUBJECT, ""), answer.data)


def queue_name(submitter: str) -> str:
    """Return a submitter's name in the queue: one token of a subject, 32 hex digits."""
    return hashlib.sha256(submitter.encode()).hexdigest()[:32]
