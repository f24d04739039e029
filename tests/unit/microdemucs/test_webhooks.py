"""Records in the key-value bucket `webhooks`."""

import json
from base64 import b64encode

import pytest

from microdemucs.manifest import BadDocument
from microdemucs.webhooks import (
    CallbackRecord,
    WebhookRecord,
    callback_key,
    is_callback,
    is_callback_id,
    is_webhook_secret,
)

WEBHOOK = {
    "id": "w1",
    "url": "https://x.example/",
    "events": ["dev.microdemucs.separation.completed"],
    "description": "ü",
    "active": False,
    "secret": "whsec_",
    "created": "2026-03-01T12:00:00.000Z",
    "updated": "2026-03-01T12:00:01.000Z",
    "failing_since": "2026-03-01T12:00:02.000Z",
    "inactive_reason": "the receiver answered 410",
}
CALLBACK = {
    "url": "https://x.example/",
    "data": [1, {"two": None}],
    "created": "2026",
    "song": "a.mp3",
}


def test_a_webhook_writes_what_it_read() -> None:
    assert json.loads(WebhookRecord.read(json.dumps(WEBHOOK).encode()).write()) == WEBHOOK


def test_a_webhook_of_an_earlier_release_is_not_failing() -> None:
    old = {name: WEBHOOK[name] for name in ("id", "url", "events", "secret")}
    webhook = WebhookRecord.read(json.dumps(old).encode())
    assert (webhook.failing_since, webhook.inactive_reason, webhook.active) == ("", "", True)


def test_a_callback_writes_what_it_read() -> None:
    assert json.loads(CallbackRecord.read(json.dumps(CALLBACK).encode()).write()) == CALLBACK


def test_a_callback_without_data_has_none() -> None:
    assert CallbackRecord.read(b'{"url": "https://x.example/"}').data is None


@pytest.mark.parametrize("member", ["id", "url", "events", "secret"])
def test_a_webhook_needs(member: str) -> None:
    record = {name: value for name, value in WEBHOOK.items() if name != member}
    with pytest.raises(BadDocument, match=member):
        WebhookRecord.read(json.dumps(record).encode())


def test_the_error_about_a_bad_secret_does_not_show_it() -> None:
    with pytest.raises(BadDocument) as error:
        WebhookRecord.read(json.dumps(WEBHOOK | {"secret": 12345}).encode())
    assert "12345" not in str(error.value)


def test_the_key_of_a_callback_differs_from_any_webhook_id() -> None:
    assert callback_key("c1") == "callback.c1"
    assert is_callback(callback_key("c1"))
    assert not is_callback("c1")


@pytest.mark.parametrize(
    "text", ["", "c1", "C" * 32, "g" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n"]
)
def test_what_is_no_callback_id(text: str) -> None:
    assert not is_callback_id(text)


def test_a_callback_id_has_32_hex_digits() -> None:
    assert is_callback_id("0123456789abcdef" * 2)


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_is_base64_of_24_to_64_bytes(size: int) -> None:
    assert is_webhook_secret("whsec_" + b64encode(bytes(size)).decode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_" + b64encode(bytes(23)).decode(),
        "whsec_" + b64encode(bytes(65)).decode(),
        b64encode(bytes(32)).decode(),
        "whsec_" + "ü" * 40,
        "whsec_" + "!" * 40,
    ],
    ids=["empty", "no bytes", "short", "long", "no prefix", "not ASCII", "not base64"],
)
def test_other_texts_are_no_secrets(text: str) -> None:
    assert not is_webhook_secret(text)
