"""Small JSON bodies: read whole, within a limit, and checked for members nobody knows."""

import json
from typing import Any

import flask

from microdemucs.problems import Problem

DOCUMENT_BYTES = 2**20


def document(*members: str) -> dict[str, Any]:
    """The JSON object that is the request's body, whose members are some of `members`.

    Raises Problem: 400 where it is no JSON, 415 where it does not say that it is, 422 where it
    has the wrong form.
    """
    must_be_json()
    return parsed(flask.request.get_data(), *members)


def must_be_json() -> None:
    """Raises Problem (415) where the request's body is not said to be JSON."""
    if not flask.request.is_json:
        raise Problem(
            415,
            "not-json",
            "The body must be JSON",
            "send Content-Type: application/json",
        )


def parsed(text: bytes, *members: str) -> dict[str, Any]:
    """`text` as a JSON object whose members are some of `members`. Raises Problem."""
    try:
        said = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = f" (character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(
            400, "malformed-json", "The body is not JSON", f"it cannot be read{where}"
        ) from None
    if not isinstance(said, dict):
        raise bad("body", "a JSON object")
    for name in said:
        if name not in members:
            raise Problem(
                422,
                "unknown-member",
                "The body has a member that nobody knows",
                f"{name[:80]!r} is none of: {', '.join(members)}",
                member=name[:80],
            )
    return said


def bad(member: str, accepts: str) -> Problem:
    """What to raise where a member or parameter has a value that it does not accept."""
    return Problem(
        422,
        "bad-value",
        "A value is not accepted",
        f"{member} must be {accepts}",
        member=member,
        accepts=accepts,
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
