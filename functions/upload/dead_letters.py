"""The routes of dead letters, messages that failed for good: list, show, replay and drop.

upload reads them, but may neither publish on the subjects of others nor remove what they stored. So
the bridge replays and drops them (minio_events/dead_letter_requests.py).
"""

import json
from typing import Any

import flask

from functions.upload.context import context
from functions.upload.json_documents import bad_value, describe, unknown_parameter
from microdemucs.bus import DEAD
from microdemucs.dead_letters import DROP_SUBJECT, REPLAY_SUBJECT, DeadLetter, Outcome
from microdemucs.plain_numbers import whole_number
from microdemucs.problems import Problem, RetryLater

_SUBJECTS = "dead.>"
_PAGE = 50

routes = flask.Blueprint("dead_letters", __name__, url_prefix="/apiv1/admin/dead-letters")


@routes.get("")
def list_dead_letters() -> dict[str, Any]:
    """Return a page of dead letters, oldest first, without their messages."""
    for name in flask.request.args:
        if name != "after":
            raise unknown_parameter(name, ("after",))
    after = flask.request.args.get("after", "0")
    last = whole_number(after)
    if last is None:
        raise bad_value("after", after, "the value of `next` in the page before")
    found, pending = _read(last, _PAGE)
    return {
        "dead_letters": [_summary(letter) for letter in found],
        "next": found[-1].number if pending else None,
    }


@routes.get("/<number>")
def get_dead_letter(number: str) -> dict[str, Any]:
    """Return one dead letter with its message: parsed JSON, or text if it is none."""
    requested = whole_number(number)
    if requested:
        found, _ = _read(requested - 1, 1)
        for letter in found:
            if letter.number == requested:
                return _summary(letter) | {"message": _readable(letter.body)}
    raise _unknown(number)


@routes.post("/<number>/replay")
def replay_dead_letter(number: str) -> tuple[str, int]:
    """Have the message published again, and its dead letter dropped."""
    return _have_done(REPLAY_SUBJECT, number)


@routes.delete("/<number>")
def drop_dead_letter(number: str) -> tuple[str, int]:
    """Have the dead letter deleted."""
    return _have_done(DROP_SUBJECT, number)


def _have_done(subject: str, number: str) -> tuple[str, int]:
    """Ask the bridge. Raises Problem (404) and RetryLater."""
    outcome = Outcome.UNKNOWN
    if whole_number(number):
        outcome = Outcome(context().bus.ask_bridge(subject, number.encode()).decode())
    match outcome:
        case Outcome.DONE:
            return "", 204
        case Outcome.UNKNOWN:
            raise _unknown(number)
        case Outcome.FAILED:
            raise RetryLater(
                "bus-away", "The message bus has not accepted it", "try again", after=3
            )


def _unknown(number: str) -> Problem:
    return Problem(
        404,
        "unknown-dead-letter",
        "There is no such dead letter",
        f"none has the number {describe(number)}: it was replayed or dropped, or never existed",
    )


def _read(after: int, most: int) -> tuple[list[DeadLetter], int]:
    messages, pending = context().bus.messages(DEAD, _SUBJECTS, after=after, most=most)
    found = [
        DeadLetter.of(message.number, message.subject, message.headers, message.data)
        for message in messages
    ]
    return found, pending


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.number,
        "kind": letter.kind,
        "about": letter.about,
        "reason": letter.reason,
        "subject": letter.subject,
        "tries": letter.tries,
        "time": letter.time,
    }


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # the very reason, perhaps
        return body.decode(errors="backslashreplace")
