"""Read a key-value bucket without a consumer.

Whoever may create a consumer on a stream can have the server deliver its messages to any subject,
also to one on which he may not publish (nats-server issue 8274). So no function may create one, and
nats-py's watch, which needs one, is not used. A direct get (NATS ADR-31) reads many entries, too.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

CHANGES = "changes"
"""The server publishes the headers of each new entry of some buckets on changes.<bucket>.<key>."""

_BATCH = 500
_TIMEOUT_S = 5.0
_DELETIONS = ("DEL", "PURGE")
_END, _NONE_LEFT = "204", "404"  # statuses


class Entry(NamedTuple):
    """A value and its revision; `value` is None if the key was deleted."""

    key: str
    value: bytes | None
    revision: int


class StoredMessage(NamedTuple):
    """A message of a stream, and its sequence number there."""

    number: int
    subject: str
    headers: Mapping[str, str]
    data: bytes


async def read_entries(
    client: Client, bucket: str, *, after: int = 0, keys: str = ">"
) -> AsyncIterator[Entry]:
    """Yield the entries and deletions after the revision `after`, in the order of revisions.

    `keys` is a subject pattern. Raises nats.errors.Error.
    """
    pending = 1
    while pending:
        batch, pending = await read_batch(client, bucket, after=after, keys=keys)
        for entry in batch:
            after = entry.revision
            yield entry


async def read_batch(
    client: Client, bucket: str, *, after: int = 0, keys: str = ">", most: int = _BATCH
) -> tuple[list[Entry], int]:
    """Return the next entries, at most so many, and how many there are after them.

    Raises nats.errors.Error.
    """
    prefix = f"$KV.{bucket}."
    messages, pending = await read_messages(
        client, f"KV_{bucket}", prefix + keys, after=after, most=most
    )
    entries = [
        Entry(
            message.subject.removeprefix(prefix),
            None if message.headers.get("KV-Operation") in _DELETIONS else message.data,
            message.number,
        )
        for message in messages
    ]
    return entries, pending


async def read_messages(
    client: Client, stream: str, subjects: str, *, after: int = 0, most: int = _BATCH
) -> tuple[list[StoredMessage], int]:
    """Return the next messages of a stream on `subjects`, and how many there are after them.

    Raises nats.errors.Error.
    """
    request = {"seq": after + 1, "batch": most, "next_by_subj": subjects}
    inbox = client.new_inbox()
    replies = await client.subscribe(inbox)
    messages: list[StoredMessage] = []
    try:
        await client.publish(
            f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox
        )
        while True:
            reply = await replies.next_msg(_TIMEOUT_S)
            headers = reply.headers or {}
            status = headers.get("Status")
            if status == _NONE_LEFT:
                return messages, 0
            if status == _END:
                return messages, int(headers.get("Nats-Num-Pending", 0)) if messages else 0
            if status:
                raise nats.errors.Error(f"nats: {status} {headers.get('Description', '')}")
            messages.append(
                StoredMessage(
                    int(headers["Nats-Sequence"]), headers["Nats-Subject"], headers, reply.data
                )
            )
    finally:
        await replies.unsubscribe()


def revision_of(change: Msg) -> int:
    """Return the revision of the entry of which a message on `CHANGES` tells."""
    return int((change.headers or {}).get("Nats-Sequence", 0))
