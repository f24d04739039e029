"""Dead letters: messages that failed for good, kept in the stream DEAD with the reason.

Subjects: dead.songs.<job id>, dead.results.<hash>, dead.deliveries.<delivery id>.
upload reads them, and asks the bridge to replay or drop one: a request on REPLAY_SUBJECT or
DROP_SUBJECT holds the letter's number, and the reply an Outcome.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from microdemucs.plain_numbers import whole_number

REPLAY_SUBJECT, DROP_SUBJECT = "dead-letters.replay", "dead-letters.drop"

REASON = "Dead-Reason"
SUBJECT = "Dead-Subject"
TRIES = "Dead-Tries"
TIME = "Dead-Time"
REPLAYED = "Dead-Replayed"


class Outcome(StrEnum):
    """What a request to replay or drop a dead letter came to."""

    DONE = "done"
    UNKNOWN = "unknown"
    """No dead letter has this number."""
    FAILED = "failed"
    """The bus did not accept it; the letter may still exist."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter.

    `number` is its sequence number in the stream DEAD. `kind` is songs, results or deliveries, and
    `about` names the job, result or delivery. `subject` is the message's old subject, `tries` how
    often the message was delivered, `time` RFC 3339.
    """

    number: int
    kind: str
    about: str
    reason: str
    subject: str
    tries: int
    time: str
    body: bytes

    @staticmethod
    def of(number: int, subject: str, headers: Mapping[str, str], body: bytes) -> "DeadLetter":
        """Return the dead letter that the stream DEAD stores as this message."""
        kind, _, about = subject.removeprefix("dead.").partition(".")
        return DeadLetter(
            number=number,
            kind=kind,
            about=about,
            reason=headers.get(REASON, ""),
            subject=headers.get(SUBJECT, ""),
            tries=whole_number(headers.get(TRIES, "")) or 0,
            time=headers.get(TIME, ""),
            body=body,
        )
