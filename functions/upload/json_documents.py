"""JSON request bodies and query parameters: limited in size, and checked for unknown members."""

import json
import math
from collections.abc import Iterable
from typing import Any

import flask

from microdemucs.problems import Problem

MAX_DOCUMENT_BYTES = 2**20
MAX_DEPTH = 100
_SHOWN_CHARACTERS = 80


def read_document(*allowed: str) -> dict[str, Any]:
    """Return the request's body, a JSON object whose members are among `allowed`.

    Raises Problem: 415 if the body is not declared as JSON, 400 if it is not JSON, 422 if it is
    not an object or has another member.
    """
    require_json()
    return parse_document(flask.request.get_data(), *allowed)


def require_json() -> None:
    """Raise Problem (415) if the request's Content-Type is not JSON."""
    if not flask.request.is_json:
        raise Problem(
            415,
            "not-json",
            "The body is not declared as JSON",
            f"Content-Type is {describe(flask.request.content_type)}; send application/json",
        )


def parse_document(text: bytes, *allowed: str) -> dict[str, Any]:
    """Parse a JSON object whose members are among `allowed`. Raises Problem (400 or 422)."""
    try:
        members = _parse(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Problem(
            400, "malformed-json", "The body is not valid JSON", _why_malformed(error)
        ) from None
    if not isinstance(members, dict):
        raise bad_value("body", members, "a JSON object")
    for name in members:
        if name not in allowed:
            raise Problem(
                422,
                "unknown-member",
                "The body has an unknown member",
                f"{describe(name)} is not one of: {', '.join(allowed)}",
                member=name[:_SHOWN_CHARACTERS],
            )
    return members


def parse_object(member: str, text: str) -> dict[str, Any]:
    """Parse a form field or query parameter that holds a JSON object. Raises Problem (422)."""
    try:
        value = _parse(text)
    except (ValueError, RecursionError) as error:
        raise bad_hidden_value(member, "a JSON object", _why_malformed(error)) from None
    if not isinstance(value, dict):
        raise bad_hidden_value(member, "a JSON object")
    return value


def optional_object(members: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the member `name`, an object; {} if it is missing or null. Raises Problem (422)."""
    value = members.get(name)
    if value is not None and not isinstance(value, dict):
        raise bad_value(name, value, "an object")
    return value or {}


def bad_value(member: str, value: Any, accepts: str) -> Problem:
    """Return the Problem (422) of a member or parameter that does not accept `value`."""
    return _bad_value(member, f"{member} is {describe(value)}; it must be {accepts}", accepts)


def bad_hidden_value(member: str, accepts: str, reason: str = "") -> Problem:
    """Return the same Problem without the value, which may hold a secret.

    `reason` says what is wrong with the value.
    """
    because = f": {reason}" if reason else ""
    return _bad_value(member, f"{member} must be {accepts}{because}", accepts)


def unknown_parameter(name: str, parameters: Iterable[str]) -> Problem:
    """Return the Problem (422) of a query parameter that is not one of `parameters`."""
    allowed = ", ".join(parameters)
    return Problem(
        422,
        "bad-value",
        "Unknown query parameter",
        f"{describe(name)} is not a parameter of this route; allowed: {allowed}",
        member=name[:_SHOWN_CHARACTERS],
        accepts=allowed,
    )


def describe(value: Any) -> str:
    """Return `value`, shortened, for an error message; None counts as missing."""
    if value is None:
        return "missing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return repr(_shorten(value))
    return _shorten(json.dumps(value, ensure_ascii=False))


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _bad_value(member: str, detail: str, accepts: str) -> Problem:
    return Problem(
        422, "bad-value", "A value is not accepted", detail, member=member, accepts=accepts
    )


def _parse(text: str) -> Any:
    """Parse JSON that can be written again, as others read it. Raises ValueError, RecursionError.

    `json` also accepts halves of surrogate pairs, which no text can have (RFC 8259, section 8.2),
    and reads 1e999 as infinity, which no JSON can have.
    """
    value = json.loads(text, parse_constant=_reject_constant)
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [member for item in level for member in _checked_members(item)]
        if not level:
            return value
    raise RecursionError


def _checked_members(item: Any) -> Iterable[Any]:
    """Return the names and values in a JSON value. Raises ValueError if it is not accepted."""
    match item:
        case str():
            if not item.isascii():
                item.encode()
        case float() if not math.isfinite(item):
            raise ValueError("a number is too large")
        case list():
            return item
        case dict():
            return [*item, *item.values()]
    return ()


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _why_malformed(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos}"
        case UnicodeDecodeError():
            return f"byte {error.start} is not UTF-8"
        case UnicodeEncodeError():
            return "a text has one half of a surrogate pair without the other"
        case RecursionError():
            return "it is nested too deeply"
    return str(error)
