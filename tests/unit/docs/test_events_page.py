"""docs/events.md shows what the code makes: its examples are run."""

import json
import re
from typing import Any

import pytest

from functions.notify.deliveries import (
    JobEvent,
    completed_event,
    deliveries_for,
    failed_event,
    started_event,
)
from microdemucs.events import COMPLETED, FAILED, STARTED, created_objects
from microdemucs.manifest import Failure, Manifest
from microdemucs.messages import Started
from microdemucs.paths import ROOT
from microdemucs.webhooks import WebhookRecord

PAGE = (ROOT / "docs" / "events.md").read_text()
TEXTS = {
    name or "notification": text
    for name, text in re.findall(r"```json ?(\w*)\n(.*?)```", PAGE, re.DOTALL)
}
EXAMPLES = {name: json.loads(text) for name, text in TEXTS.items()}


def payload(event: JobEvent) -> Any:
    webhook = WebhookRecord(id="w1", url="", events=[STARTED, COMPLETED, FAILED], secret="")
    (delivery,) = deliveries_for(event, [webhook], None, "https://separation.example", "2026")
    return json.loads(delivery.body)


def test_the_manifest_becomes_the_payload_of_completed() -> None:
    example = EXAMPLES["completed"]
    url = example["data"]["stems"][0]["url"]
    made = payload(completed_event(Manifest.read(TEXTS["manifest"].encode()), lambda _: url))
    assert made | {"id": ""} == example | {"id": ""}
    assert len(made["id"]) == len(example["id"])


def test_the_failure_becomes_the_data_of_failed() -> None:
    event = failed_event(Failure.read(TEXTS["failure"].encode()))
    assert payload(event)["data"] == EXAMPLES["failed"]


def test_the_started_message_becomes_the_data_of_started() -> None:
    event = started_event(Started.read(TEXTS["started"].encode()))
    assert payload(event)["data"] == EXAMPLES["begun"]


def test_the_notification_is_a_captured_one() -> None:
    captured = json.loads((ROOT / "tests" / "captures" / "put.json").read_text())
    assert _is_part(EXAMPLES["notification"], captured)


@pytest.mark.parametrize("name", ["id", "source", "type", "time"])
def test_the_notification_becomes_the_event_that_is_shown(name: str) -> None:
    ((event, _),) = created_objects(TEXTS["notification"].encode())
    assert f"\nce-{name}: {event[name]}\n" in PAGE
    assert f"`{event['subject']}`" in PAGE


def _is_part(shown: Any, whole: Any) -> bool:
    if isinstance(shown, dict):
        return all(name in whole and _is_part(shown[name], whole[name]) for name in shown)
    if isinstance(shown, list):
        return len(shown) == len(whole) and all(map(_is_part, shown, whole))
    return bool(shown == whole)
