"""Write, list, replay and drop dead letters (microdemucs.dead_letters)."""

import hashlib

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from microdemucs.bus import DEAD
from microdemucs.dead_letters import REASON, REPLAYED, SUBJECT, TIME, TRIES, DeadLetter
from microdemucs.problems import now


async def dead_letter(
    client: Client, kind: str, about: str, msg: Msg, reason: str, tries: int
) -> None:
    """Store `msg` as a dead letter; a second time changes nothing.

    Raises nats.errors.Error if the bus is away: then `msg` must not be acknowledged.
    """
    unique = f"{msg.metadata.stream}.{msg.metadata.sequence.stream}"
    await write_dead_letter(client, kind, about, msg.subject, msg.data, unique, reason, tries)


async def write_dead_letter(
    client: Client,
    kind: str,
    about: str,
    subject: str,
    data: bytes,
    unique: str,
    reason: str,
    tries: int,
) -> None:
    """Store a message, which was stored at `subject`, as a dead letter.

    A second time with the same `unique` changes nothing. Raises nats.errors.Error if the bus is
    away.
    """
    headers = {
        REASON: reason,
        SUBJECT: subject,
        TRIES: str(tries),
        TIME: now(),
        "Nats-Msg-Id": unique,
    }
    await client.jetstream().publish(f"dead.{kind}.{subject_token(about)}", data, headers=headers)


def subject_token(about: str) -> str:
    """Return `about` as one token of a subject: unchanged if it can be one, else its hash."""
    is_token = about.replace("-", "").replace("_", "").isalnum()
    return about if is_token else hashlib.sha256(about.encode()).hexdigest()[:32]


async def is_dead_lettered(client: Client, kind: str, about: str) -> bool:
    """Return whether there is a dead letter about this."""
    subject = f"dead.{kind}.{subject_token(about)}"
    try:
        await client.jetstream().get_last_msg(DEAD, subject, direct=True)
    except NotFoundError:
        return False
    return True


async def list_dead_letters(client: Client) -> list[DeadLetter]:
    """Return all dead letters, oldest first."""
    state = (await client.jetstream().stream_info(DEAD)).state
    found = []
    for number in range(max(1, state.first_seq), state.last_seq + 1):
        try:
            found.append(await get(client, number))
        except NotFoundError:
            continue  # dropped
    return found


async def get(client: Client, number: int) -> DeadLetter:
    """Return the dead letter `number`. Raises nats.js.errors.NotFoundError."""
    stored = await client.jetstream().get_msg(DEAD, number)
    return DeadLetter.of(number, stored.subject or "", stored.headers or {}, stored.data or b"")


async def replay(client: Client, number: int) -> None:
    """Publish the dead letter `number` on its old subject, and drop it here.

    Raises nats.js.errors.NotFoundError.
    """
    dead = await get(client, number)
    await client.jetstream().publish(dead.subject, dead.body, headers={REPLAYED: now()})
    await client.jetstream().delete_msg(DEAD, number)


def is_replayed(msg: Msg) -> bool:
    """Return whether `msg` was a dead letter: then it is no duplicate."""
    return REPLAYED in (msg.headers or {})


async def drop(client: Client, number: int) -> None:
    """Delete the dead letter `number`. Raises nats.js.errors.NotFoundError."""
    await get(client, number)  # the server does not say whether a message is missing
    await client.jetstream().delete_msg(DEAD, number)
