"""The stream QUEUE: what the separate function has to do, with one subject for each submitter.

A message stays in the stream until it is done, so a bridge that ends loses none. The server finds
the next message of a submitter without reading those of the others.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from microdemucs.bus import QUEUE, QUEUE_SUBJECT_PREFIX

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
        self._client = client
        self._js = client.jetstream(timeout=_TIMEOUT_S)

    async def put(self, submitter: str, msg: Msg) -> None:
        """Copy a message of the stream SONGS to the end of a submitter's queue.

        A second time, within an hour, changes nothing.
        """
        headers = {_SUBJECT: msg.subject, "Nats-Msg-Id": str(msg.metadata.sequence.stream)}
        await self._js.publish(f"{QUEUE_SUBJECT_PREFIX}.{submitter}", msg.data, headers=headers)

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
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        try:
            subject = f"$JS.API.DIRECT.GET.{QUEUE}"
            await self._client.publish(subject, json.dumps(request).encode(), inbox)
            found: list[QueuedMessage] = []
            while True:
                answer = await answers.next_msg(_TIMEOUT_S)
                status = JetStreamContext.is_status_msg(answer)
                if status in (_END, _NOTHING):
                    return found
                if status:  # the stream's server is away
                    raise nats.errors.NoRespondersError
                headers = answer.headers or {}
                number = int(headers["Nats-Sequence"])
                found.append(QueuedMessage(number, headers.get(_SUBJECT, ""), answer.data))
        finally:
            with suppress(nats.errors.Error, OSError):
                await answers.unsubscribe()

    async def contains(self, number: int) -> bool:
        """Return whether the message is still in the queue."""
        try:
            await self._js.get_msg(QUEUE, number, direct=True)
        except NotFoundError:
            return False
        return True

    async def remove(self, number: int) -> None:
        """Remove a message that is done. If it is gone already, nothing happens."""
        # not nats-py's delete_msg, which has the server overwrite the message on its disk
        subject = f"$JS.API.STREAM.MSG.DELETE.{QUEUE}"
        request = json.dumps({"seq": number, "no_erase": True}).encode()
        answer = json.loads((await self._client.request(subject, request, _TIMEOUT_S)).data)
        error = answer.get("error")
        if error and error.get("err_code") != _NO_MESSAGE:
            raise APIError.from_error(error)


def queue_name(submitter: str) -> str:
    """Return a submitter's name in the queue: one token of a subject, 32 hex digits."""
    return hashlib.sha256(submitter.encode()).hexdigest()[:32]
