import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import urllib3
from standardwebhooks import Webhook

from local.webhook_receiver import WebhookReceiver, pretty

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    receiver.secret = SECRET
    yield receiver
    receiver.close()


def post(receiver: WebhookReceiver, subject: str, secret: str = SECRET) -> int:
    body, now = json.dumps({"subject": subject}), datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }
    return urllib3.request("POST", receiver.url, headers=headers, body=body).status


def test_an_event_with_a_valid_signature_is_kept(receiver: WebhookReceiver) -> None:
    assert post(receiver, "a.mp3") == 204
    assert receiver.wait_for("a.mp3", 10) == {"subject": "a.mp3"}


def test_an_event_with_another_signature_is_refused(receiver: WebhookReceiver) -> None:
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    assert post(receiver, "a.mp3", other) == 401
    assert receiver.wait_for("a.mp3", 0) is None


def test_an_event_about_another_song_is_not_returned(receiver: WebhookReceiver) -> None:
    post(receiver, "b.mp3")
    assert receiver.wait_for("a.mp3", 0) is None


def test_printing_hides_the_signatures_of_links() -> None:
    text = pretty({"url": "http://host/stems/a.mp3?X-Amz-Signature=secret"})
    assert json.loads(text) == {"url": "http://host/stems/a.mp3?…"}
