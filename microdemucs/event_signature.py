"""The signature of an event: only the bridge can make it, as it shares a secret with the functions.

It is the extension attribute `signature`, an HMAC-SHA256 of the event's type, attempt and data. So
it passes through a Broker, and a sink of somebody else never sees the secret. The data counts as
values, not as bytes: a Broker may write the same JSON differently.
"""

import hmac
import json
from typing import Any

from cloudevents.http import CloudEvent

from microdemucs.problems import Problem

ATTRIBUTE = "signature"


def sign(event: CloudEvent, secret: str) -> str:
    """Return the signature of `event`, 64 hex digits.

    Raises ValueError or RecursionError if the bridge could not have sent its data.
    """
    signed: list[Any] = [event["type"], str(event.get("attempt") or ""), event.get_data()]
    # Data that is no JSON arrives as bytes.
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), default=bytes.decode)
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


def ensure_signed(event: CloudEvent, secret: str) -> None:
    """Raise Problem (401) unless the bridge has signed `event`."""
    try:
        expected = sign(event, secret)
    except (ValueError, RecursionError):
        expected = ""
    signature = str(event.get(ATTRIBUTE) or "")
    encoded = signature.encode(errors="replace")  # JSON can hold half a character
    if not expected or not hmac.compare_digest(expected.encode(), encoded):
        raise Problem(
            401,
            "unsigned-event",
            "The event is not signed by the bridge",
            "its signature is missing or wrong: EVENTS_SECRET must be the same for the bridge and "
            "the functions",
        )
