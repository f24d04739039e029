import json
from typing import Any

import pytest
from cloudevents.http import CloudEvent, from_http

from microdemucs.event_signature import ATTRIBUTE, ensure_signed, sign
from microdemucs.problems import Problem
from minio_events.forward import signed_request

SECRET = "a-secret-of-the-bridge"
ATTRIBUTES = {"id": "1", "source": "s", "type": "t", "attempt": "2"}
DATA = {"name": "ü€😀", "numbers": [1, 2.5e-7, 2**70], "nested": {"b": None, "a": True}}


def received(data: Any = DATA, secret: str = SECRET, **headers: str) -> CloudEvent:
    """The event as a function receives it, with some of its headers replaced."""
    signed, body = signed_request(CloudEvent(ATTRIBUTES, data), secret)
    return from_http(signed | headers, body)


def test_an_event_of_the_bridge_is_accepted() -> None:
    ensure_signed(received(), SECRET)


@pytest.mark.parametrize("data", [None, "text", [], "ü"], ids=["none", "text", "list", "umlaut"])
def test_any_data_can_be_signed(data: Any) -> None:
    ensure_signed(received(data), SECRET)


def test_a_broker_may_write_the_same_json_differently() -> None:
    headers, body = signed_request(CloudEvent(ATTRIBUTES, DATA), SECRET)
    rewritten = json.dumps(dict(reversed(json.loads(body).items())), indent=2, ensure_ascii=False)
    ensure_signed(from_http(headers, rewritten.encode()), SECRET)


def test_a_broker_may_use_structured_mode_and_add_attributes() -> None:
    signature = sign(CloudEvent(ATTRIBUTES, DATA), SECRET)
    event = {"specversion": "1.0", **ATTRIBUTES, ATTRIBUTE: signature, "added": "x", "data": DATA}
    headers = {"content-type": "application/cloudevents+json"}
    ensure_signed(from_http(headers, json.dumps(event).encode()), SECRET)


@pytest.mark.parametrize(
    "event",
    [
        received(secret="another-secret-than-that"),
        received(**{"ce-signature": ""}),
        received(**{"ce-signature": "ü"}),
        received(**{"ce-signature": "0" * 64}),
        received(**{"ce-type": "u"}),
        received(**{"ce-attempt": "3"}),
        from_http(signed_request(CloudEvent(ATTRIBUTES, DATA), SECRET)[0], b'{"name": "other"}'),
        from_http(signed_request(CloudEvent(ATTRIBUTES, DATA), SECRET)[0], b"\xff"),
    ],
    ids=["secret", "none", "no hex", "zeros", "type", "attempt", "data", "no text"],
)
def test_any_other_event_is_refused(event: CloudEvent) -> None:
    with pytest.raises(Problem) as raised:
        ensure_signed(event, SECRET)
    assert (raised.value.status, raised.value.kind) == (401, "unsigned-event")


def test_the_request_does_not_show_the_secret() -> None:
    headers, body = signed_request(CloudEvent(ATTRIBUTES, DATA), SECRET)
    assert SECRET not in str(headers)
    assert SECRET.encode() not in body
