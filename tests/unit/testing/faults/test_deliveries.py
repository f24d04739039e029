import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from testing.faults.deliveries import Deliveries

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"t" * 32).decode()
COMPLETED = "dev.microdemucs.separation.completed"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "received.jsonl"


@pytest.fixture
def deliveries(file: Path) -> Deliveries:
    return Deliveries(file, SECRET, OTHER_SECRET)


def deliver(file: Path, id_: str, secret: str = SECRET, path: str = "/webhook") -> None:
    """Append one delivery of the same event, as the receiver does."""
    event = {"type": COMPLETED, "time": "2026-01-01T00:00:00.000Z", "data": {"job": "j"}}
    body, now = json.dumps(event), datetime.now(UTC)
    headers = {
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, now, body),
    }
    with file.open("a") as lines:
        lines.write(json.dumps({"path": path, "headers": headers, "body": body}) + "\n")


def test_copies_of_a_delivery_are_one_id(deliveries: Deliveries, file: Path) -> None:
    deliver(file, "msg_a")
    deliver(file, "msg_a")
    deliveries.read_new()
    assert (deliveries.count, deliveries.problems) == (2, [])
    assert deliveries.ids_of("/webhook", COMPLETED, "j") == {"msg_a"}


def test_one_event_with_two_ids_is_a_problem(deliveries: Deliveries, file: Path) -> None:
    deliver(file, "msg_a")
    deliver(file, "msg_b")
    deliveries.read_new()
    assert "two ids" in deliveries.problems[0]


def test_a_wrong_signature_is_a_problem(deliveries: Deliveries, file: Path) -> None:
    deliver(file, "msg_a", OTHER_SECRET)
    deliveries.read_new()
    assert "cannot verify" in deliveries.problems[0]


def test_a_callback_is_signed_with_the_secret_of_callbacks(
    deliveries: Deliveries, file: Path
) -> None:
    deliver(file, "msg_a", OTHER_SECRET, "/callback/1")
    deliveries.read_new()
    assert deliveries.problems == []


def test_a_line_that_a_killed_receiver_began_is_left_out(
    deliveries: Deliveries, file: Path
) -> None:
    file.write_text('{"path": "/web\n')
    deliver(file, "msg_a")
    deliveries.read_new()
    assert deliveries.count == 1


def test_each_delivery_is_read_once(deliveries: Deliveries, file: Path) -> None:
    deliver(file, "msg_a")
    deliveries.read_new()
    deliver(file, "msg_a")
    deliveries.read_new()
    assert deliveries.count == 2
