"""Undeliverable letters: messages that were given up, kept with the reason until somebody decides.

Subjects: dead.songs.<job id>, dead.results.<hash>, dead.deliveries.<delivery id>.
"""

import hashlib
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from microdemucs.bus import DEAD
from microdemucs.problems import now

_REASON, _FROM, _TRIES, _WHEN = (
    "Dead-Reason",
    "Dead-Subject",
    "Dead-Tries",
    "Dead-Time",
)
_REPLAYED = "Dead-Replayed"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. `number` names it in the commands; `subject` is where it came from."""

    number: int
    kind: str
    about: str
    reason: str
    subject: str
    tries: int
    time: str
    body: bytes


async def dead_letter(
    client: Client, kind: str, about: str, msg: Msg, reason: str, tries: int
) -> None:
    """Keep `msg` as a dead letter of `kind` songs, results or deliveries.

    Raises nats.errors.Error where the bus is away: then `msg` must stay where it is.
    """
    headers = {
        _REASON: reason,
        _FROM: msg.subject,
        _TRIES: str(tries),
        _WHEN: now(),
        "Nats-Msg-Id": f"{msg.metadata.stream}.{msg.metadata.sequence.stream}",
    }
    subject = f"dead.{kind}.{token(about)}"
    await client.jetstream().publish(subject, msg.data, headers=headers)


def token(about: str) -> str:
    """`about` as a token of a subject: itself where it can be one, else its hash."""
    plain = about.replace("-", "").replace("_", "").isalnum()
    return about if plain else hashlib.sha256(about.encode()).hexdigest()[:32]


async def is_dead_lettered(client: Client, kind: str, about: str) -> bool:
    """Whether a dead letter of this waits for a decision."""
    try:
        await client.jetstream().get_last_msg(DEAD, f"dead.{kind}.{token(about)}", direct=True)
    except NotFoundError:
        return False
    return True


async def letters(client: Client) -> list[DeadLetter]:
    """All dead letters, oldest first."""
    js = client.jetstream()
    state = (await js.stream_info(DEAD)).state
    found = []
    for number in range(max(1, state.first_seq), state.last_seq + 1):
        try:
            found.append(await letter(client, number))
        except NotFoundError:
            continue  # dropped
    return found


async def letter(client: Client, number: int) -> DeadLetter:
    """The dead letter `number`. Raises nats.js.errors.NotFoundError."""
    kept = await client.jetstream().get_msg(DEAD, number)
    headers = kept.headers or {}
    _, kind, about = (kept.subject or "").split(".", 2)
    return DeadLetter(
        number=number,
        kind=kind,
        about=about,
        reason=headers.get(_REASON, ""),
        subject=headers.get(_FROM, ""),
        tries=int(headers.get(_TRIES, 0)),
        time=headers.get(_WHEN, ""),
        body=kept.data or b"",
    )


async def replay(client: Client, number: int) -> None:
    """Send the dead letter `number` on its way again, and forget it here."""
    dead = await letter(client, number)
    await client.jetstream().publish(dead.subject, dead.body, headers={_REPLAYED: now()})
    await drop(client, number)


def is_replayed(msg: Msg) -> bool:
    """Whether `msg` was a dead letter, and so brings news that has been seen."""
    return _REPLAYED in (msg.headers or {})


async def drop(client: Client, number: int) -> None:
    """Forget the dead letter `number`. Raises nats.js.errors.NotFoundError."""
    await client.jetstream().delete_msg(DEAD, number)
