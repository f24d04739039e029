"""docs/events.md describes every message and document as its type has it, and nothing else."""

import dataclasses
import json
import re
import types
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import UnsetType

from functions.notify.deliveries import (
    SCHEDULE,
    JobEvent,
    completed_event,
    deliveries_for,
    failed_event,
    started_event,
)
from functions.notify.egress import CONNECT_S, RESOLVE_S, TOTAL_S
from microdemucs import bus, events
from microdemucs.audio_facts import AudioFacts
from microdemucs.events import COMPLETED, FAILED, STARTED, created_objects, object_from_record
from microdemucs.jobs import PHASES, JobState
from microdemucs.manifest import (
    CoverEntry,
    Failure,
    Manifest,
    ModelInfo,
    PeaksEntry,
    SeparatedSong,
    StemEntry,
    StoredSong,
)
from microdemucs.messages import (
    Attempt,
    Delivery,
    DeliveryState,
    Finished,
    RangeId,
    RangeRequest,
    Requeue,
    Started,
)
from microdemucs.paths import ROOT
from microdemucs.peaks import Peaks, PeaksHeader
from microdemucs.problems import Problem
from microdemucs.webhooks import CallbackRecord, WebhookRecord
from minio_events.bus_setup import NOTIFIED

PAGE = (ROOT / "docs" / "events.md").read_text()
WITHOUT_CODE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
SECTIONS = dict(re.findall(r"^#{2,} (.+?)\n(.*?)(?=^#|\Z)", WITHOUT_CODE, re.M | re.DOTALL))
EXAMPLES = dict(re.findall(r"```json (\w+)\n(.*?)```", PAGE, re.DOTALL))


def table(heading: str) -> list[list[str]]:
    """The rows of the first table of a section, each a list of cells, the header first."""
    lines = [line for line in SECTIONS[heading].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    header, _, *body = rows
    return [header, *body]


# The members of each type, as the page writes them.


def type_text(annotation: Any) -> str:
    """How the page writes a type."""
    plain = {str: "string", int: "integer", float: "number", bool: "boolean", Any: "any JSON value"}
    if annotation in plain:
        return plain[annotation]
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "string"
    arguments = [a for a in get_args(annotation) if a not in (UnsetType, types.NoneType)]
    if get_origin(annotation) in (Union, types.UnionType):
        may_be_null = " or null" if types.NoneType in get_args(annotation) else ""
        return type_text(*arguments) + may_be_null
    if get_origin(annotation) is list:
        return f"array of {type_text(*arguments)}s"
    if get_origin(annotation) is dict and arguments[1] is not Any:
        return f"object of {type_text(arguments[1])}s"
    return "object"


def members(type_: type) -> dict[str, str]:
    """The members of a type and how the page writes their types and whether they are optional."""
    if dataclasses.is_dataclass(type_):
        return {name: type_text(type_) for name, type_ in get_type_hints(type_).items()}
    found = {}
    for field in msgspec.structs.fields(type_):
        text = type_text(field.type)
        if UnsetType in get_args(field.type):
            text += ", may be missing"
        elif field.default == "":
            text += ', may be ""'
        found[field.name] = text
    return found


def without(found: dict[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in found.items() if name not in names}


DESCRIBED = {
    "Song": members(StoredSong),
    "Song in a manifest": without(members(SeparatedSong), *members(StoredSong)),
    "started": members(Started),
    "finished": members(Finished),
    "range": members(RangeRequest),
    "Range id": members(RangeId),
    "Audio facts": members(AudioFacts),
    "requeue": members(Requeue),
    "delivery": members(Delivery),
    "attempt": members(Attempt),
    "manifest.json": members(Manifest),
    "Cover": members(CoverEntry),
    "Stem": members(StemEntry),
    "Peaks": members(PeaksEntry),
    "Peaks header": members(PeaksHeader),
    "Model": members(ModelInfo),
    "Members of the problem": {
        name: type_text(type(value)) + (", may be missing" if name == "detail" else "")
        for name, value in Problem(422, "kind", "title", "detail").body().items()
    },
    "Members about the job": without(members(Failure), "problem"),
    "Webhook record": members(WebhookRecord),
    "Callback record": members(CallbackRecord),
}


@pytest.mark.parametrize("heading", DESCRIBED)
def test_a_table_has_exactly_the_members_of_its_type(heading: str) -> None:
    header, *rows = table(heading)
    assert header == ["member", "type", "meaning"]
    assert {name: text for name, text, _ in rows} == DESCRIBED[heading]


@pytest.mark.parametrize("heading", DESCRIBED)
def test_a_table_says_what_each_member_means(heading: str) -> None:
    assert [name for name, _, meaning in table(heading)[1:] if not meaning] == []


def test_every_table_of_members_describes_a_type() -> None:
    tables = [heading for heading, text in SECTIONS.items() if "| member |" in text]
    assert sorted(tables) == sorted(DESCRIBED)


def test_a_problem_without_detail_leaves_it_out() -> None:
    assert "detail" not in Problem(422, "kind", "title").body()


def test_the_table_of_job_states() -> None:
    assert [state for state, _ in table("Job states")[1:]] == [str(state) for state in JobState]


def test_the_states_of_a_delivery_are_listed() -> None:
    [meaning] = [meaning for name, _, meaning in table("attempt") if name == "state"]
    assert re.findall("`([a-z]+)`", meaning) == list(DeliveryState)


def test_the_table_of_timings() -> None:
    names = [name for name, _ in table("Timings")[1:]]
    assert sorted(names) == sorted([*PHASES, "first_block"])


def test_the_table_of_events_has_every_event_type() -> None:
    ours = {value for value in vars(events).values() if str(value).startswith("dev.microdemucs.")}
    assert set(re.findall(r"dev\.microdemucs\.[a-z.]*[a-z]", SECTIONS["All CloudEvents"])) == ours


def test_the_table_of_streams() -> None:
    rows = table("NATS")[1:]
    assert [row[0] for row in rows] == [
        *(bus.SONGS, bus.QUEUE, bus.STEMS),
        *(bus.OUTBOX, bus.DELIVERIES, bus.DEAD, bus.ATTEMPTS),
    ]
    subjects = {row[0]: row[1].split(", ") for row in rows}
    assert subjects[bus.SONGS] == [bus.SONGS_SUBJECT, bus.RANGE_SUBJECT, bus.REQUEUE_SUBJECT]
    stems = [bus.STEMS_SUBJECT, bus.STARTED_SUBJECT, bus.FINISHED_SUBJECT]
    assert subjects[bus.STEMS] == stems


def test_the_table_of_key_value_buckets() -> None:
    buckets = {row[0] for row in table("Key-value buckets")[1:]}
    views = {bus.JOBS, bus.CANCELS, bus.LEASES, bus.RESULTS}
    assert buckets == views | {bus.WEBHOOKS, bus.IDEMPOTENCY, NOTIFIED}


# The examples.

READ_AND_WRITE: dict[str, Callable[[bytes], bytes]] = {
    "started": lambda text: Started.read(text).write(),
    "finished": lambda text: Finished.read(text).write(),
    "range": lambda text: RangeRequest.read(text).write(),
    "requeue": lambda text: Requeue.read(text).write(),
    "delivery": lambda text: Delivery.read(text).write(),
    "attempt": lambda text: Attempt.read(text).write(),
    "manifest": lambda text: Manifest.read(text).write(),
    "peaks": lambda text: Peaks.read(text).write(),
    "failure": lambda text: Failure.read(text).write(),
    "webhook": lambda text: WebhookRecord.read(text).write(),
    "callback": lambda text: CallbackRecord.read(text).write(),
}


@pytest.mark.parametrize("name", READ_AND_WRITE)
def test_an_example_is_written_as_it_was_read(name: str) -> None:
    example = EXAMPLES[name]
    assert json.loads(READ_AND_WRITE[name](example.encode())) == json.loads(example)


def test_every_example_is_tested() -> None:
    others = {"notification", "completed", "failed", "started_data", "log"}
    assert set(EXAMPLES) == READ_AND_WRITE.keys() | others


def test_the_song_of_a_range_is_one_that_can_be_read() -> None:
    request = RangeRequest.read(EXAMPLES["range"].encode())
    assert request.stored_song.key == "dir/black mountain.mp3"
    assert request.id.endswith(f".{request.range.plan}.{request.range.number}")


def test_the_song_of_a_requeue_is_one_that_can_be_read() -> None:
    (record,) = json.loads(EXAMPLES["requeue"])["Records"]
    assert object_from_record(record).metadata == {"format": "flac"}


def payload(event: JobEvent) -> Any:
    webhook = WebhookRecord(id="w1", url="", events=[STARTED, COMPLETED, FAILED], secret="")
    (delivery,) = deliveries_for(event, [webhook], None, "https://separation.example", "2026")
    return json.loads(delivery.body)


def test_the_manifest_becomes_the_payload_of_completed() -> None:
    example = json.loads(EXAMPLES["completed"])
    url = example["data"]["stems"][0]["url"]
    made = payload(completed_event(Manifest.read(EXAMPLES["manifest"].encode()), lambda _: url))
    assert made | {"id": ""} == example | {"id": ""}
    assert len(made["id"]) == len(example["id"])


def test_the_failure_becomes_the_data_of_failed() -> None:
    event = failed_event(Failure.read(EXAMPLES["failure"].encode()))
    assert payload(event)["data"] == json.loads(EXAMPLES["failed"])


def test_the_started_message_becomes_the_data_of_started() -> None:
    event = started_event(Started.read(EXAMPLES["started"].encode()))
    assert payload(event)["data"] == json.loads(EXAMPLES["started_data"])


def test_the_notification_is_a_captured_one() -> None:
    captured = json.loads((ROOT / "tests" / "captures" / "put.json").read_text())
    assert _is_contained(json.loads(EXAMPLES["notification"]), captured)


@pytest.mark.parametrize("name", ["id", "source", "type", "time"])
def test_the_notification_becomes_the_event_that_is_shown(name: str) -> None:
    ((event, _),) = created_objects(EXAMPLES["notification"].encode())
    assert f"\nce-{name}: {event[name]}\n" in PAGE
    assert f"`{event['subject']}`" in PAGE


def test_the_schedule_is_that_of_the_code() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    shown = re.search(r"5 s, 5 min, [^.]* between attempts", SECTIONS["Your response"])
    assert shown is not None
    delays = re.findall(r"(\d+) (s|min|h)\b", shown.group())
    assert tuple(int(number) * units[unit] for number, unit in delays) == SCHEDULE


def test_the_time_limits_of_an_attempt_are_those_of_the_code() -> None:
    limits = (
        f"{RESOLVE_S:g} s to resolve the host, {CONNECT_S:g} s to connect, {TOTAL_S:g} s in all"
    )
    assert limits in SECTIONS["How a webhook is retried"]


def _is_contained(shown: Any, whole: Any) -> bool:
    if isinstance(shown, dict):
        return all(name in whole and _is_contained(shown[name], whole[name]) for name in shown)
    if isinstance(shown, list):
        return len(shown) == len(whole) and all(map(_is_contained, shown, whole))
    return bool(shown == whole)
