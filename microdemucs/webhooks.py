"""Webhook registrations and callbacks: the records in the key-value bucket `webhooks`.

A webhook's key is its id. The key of a callback, a URL given with one song, is
`callback.<callback id>`. docs/events.md describes every member.
"""

import re
from base64 import b64decode
from typing import Any

import msgspec
from msgspec import Struct

from microdemucs.manifest import decode

_CALLBACK_PREFIX = "callback."

WEBHOOK_KEYS = "*"
"""The subject pattern of all webhooks: their ids have no dot, so it leaves callbacks out."""

CALLBACK_DAYS = 30
"""How long a callback is kept, unless a setting says otherwise."""

CALLBACK_KEYS = f"{_CALLBACK_PREFIX}*"
"""The subject pattern of all callbacks."""


class WebhookRecord(Struct, frozen=True, kw_only=True):
    """A registered webhook. `events` are the event types that it receives.

    Times are RFC 3339 in UTC. `secret` is whsec_ and base64 (Standard Webhooks). `failing_since`
    is when the first attempt failed after the last one that succeeded. `inactive_reason` says why
    the webhook was deactivated, unless its owner did that.
    """

    id: str
    url: str
    events: list[str]
    description: str = ""
    active: bool = True
    secret: str
    created: str = ""
    updated: str = ""
    failing_since: str = ""
    inactive_reason: str = ""

    @staticmethod
    def read(text: bytes) -> "WebhookRecord":
        """Read what `write` wrote. Raises BadDocument."""
        return decode(text, WebhookRecord)

    def write(self) -> bytes:
        """Return the record as JSON."""
        return msgspec.json.encode(self)


class CallbackRecord(Struct, frozen=True, kw_only=True):
    """The callback of one request. Its receiver gets `data` back; CALLBACK_SECRET signs it.

    `song` is the key of the song that was sent with it: it is not called for another song.
    """

    url: str
    data: Any = None
    created: str = ""
    song: str = ""

    @staticmethod
    def read(text: bytes) -> "CallbackRecord":
        """Read what `write` wrote. Raises BadDocument."""
        return decode(text, CallbackRecord)

    def write(self) -> bytes:
        """Return the record as JSON."""
        return msgspec.json.encode(self)


def is_callback_id(text: str) -> bool:
    """Whether `text` has the form of a callback's id."""
    return bool(re.fullmatch("[0-9a-f]{32}", text))


def callback_key(callback_id: str) -> str:
    """Return the key of a callback's record, and the target of its deliveries."""
    return _CALLBACK_PREFIX + callback_id


def is_callback(target: str) -> bool:
    """Whether the target of a delivery is a callback, rather than a webhook."""
    return target.startswith(_CALLBACK_PREFIX)


def is_webhook_secret(text: str) -> bool:
    """Whether `text` is whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks requires."""
    encoded = text.removeprefix("whsec_")
    try:
        return encoded != text and 24 <= len(b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False
