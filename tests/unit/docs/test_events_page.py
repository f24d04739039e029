"""docs/events.md shows what the code makes: its examples are run."""

import json
import re

import pytest

from functions.notify.deliveries import completed, deliveries_for, failed, started
from microdemucs.events import COMPLETED, FAILED, STARTED, created_objects
from microdemucs.paths import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()
EXAMPLES = {
    name or "notification": json.loads(text)
    for name, text in re.findall(r"```json ?(\w*)\n(.*?)```", PAGE, re.DOTALL)
}


def told(news):
    webhook = {"id": "w1", "active": True, "events": [STARTED, COMPLETED, FAILED]}
    (delivery,) = deliveries_for(news, [webhook], None, "https://separation.example", "2026")
    return json.loads(delivery.body)


def test_completed_is_what_the_manifest_becomes():
    shown = EXAMPLES["completed"]
    url = shown["data"]["stems"][0]["url"]
    made = told(completed(EXAMPLES["manifest"], lambda key: url))
    assert made | {"id": ""} == shown | {"id": ""}
    assert len(made["id"]) == len(shown["id"])


@pytest.mark.parametrize(
    ("read", "given", "shown"),
    [(failed, "failure", "failed"), (started, "started", "begun")],
    ids=["failed", "started"],
)
def test_the_data_of_the_others_is_what_their_documents_become(read, given, shown):
    assert told(read(EXAMPLES[given]))["data"] == EXAMPLES[shown]


def test_the_notification_is_the_captured_one_and_becomes_the_event_that_is_shown():
    captured = json.loads((ROOT / "tests" / "captures" / "put.json").read_text())
    shown = EXAMPLES["notification"]
    assert _is_part(shown, captured)
    ((event, _),) = created_objects(json.dumps(shown).encode())
    for name in ("id", "source", "type", "time"):
        assert f"\nce-{name}: {event[name]}\n" in PAGE
    assert f"`{event['subject']}`" in PAGE


def _is_part(shown, whole):
    if isinstance(shown, dict):
        return all(name in whole and _is_part(shown[name], whole[name]) for name in shown)
    if isinstance(shown, list):
        return len(shown) == len(whole) and all(map(_is_part, shown, whole))
    return shown == whole
