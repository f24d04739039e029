"""Which message becomes which call, with notifications of a real MinIO (tests/captures)."""

import copy
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microdemucs.bus import (
    FINISHED_SUBJECT,
    OLD_REQUEUE_SUBJECT,
    RANGE_SUBJECT,
    REQUEUE_SUBJECT,
    SONGS_SUBJECT,
    STARTED_SUBJECT,
    STEMS_SUBJECT,
)
from microdemucs.events import MalformedMessage, ObjectCreated, notification
from microdemucs.jobs import JobRecord, job_id
from microdemucs.paths import ROOT
from minio_events.forward import binary_request
from minio_events.routing import (
    FunctionCall,
    delivery_call,
    range_call,
    read_delivery,
    result_calls,
    separate_calls,
    song_calls,
    trace_of,
)
from tests.unit.minio_events.messages import DELIVERY, FINISHED, RANGE, REQUEUE, STARTED

CAPTURES = ROOT / "tests/captures"
PUT = (CAPTURES / "put.json").read_bytes()
COPY = (CAPTURES / "copy.json").read_bytes()


def encoded(message: Any) -> bytes:
    return json.dumps(message).encode()


def result_notification(key: str) -> bytes:
    return notification(ObjectCreated("stems", key, 10, "e1", time="2026-01-01"), "r1")


READERS: dict[str, tuple[bytes, Callable[[bytes], list[FunctionCall]]]] = {
    "song": (PUT, lambda message: song_calls(message, "songs")),
    "requeue": (
        encoded(REQUEUE),
        lambda message: separate_calls(REQUEUE_SUBJECT, message, "songs"),
    ),
    "range": (encoded(RANGE), lambda message: [range_call(message)]),
    "result": (
        result_notification("a.mp3/manifest.json"),
        lambda message: result_calls(STEMS_SUBJECT, message, {}),
    ),
    "started": (encoded(STARTED), lambda message: result_calls(STARTED_SUBJECT, message, {})),
    "finished": (encoded(FINISHED), lambda message: result_calls(FINISHED_SUBJECT, message, {})),
    "delivery": (encoded(DELIVERY), lambda message: [delivery_call(read_delivery(message))]),
}
"""Kind → a valid message, and the function that reads it."""


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("put", ["dir/a b+ü 100%.mp3"]),
        ("put-percent-key", ["x%2Fy.MP3"]),
        ("put-versioned", ["v.mp3"]),
        ("multipart", ["multi.flac"]),
        ("copy", ["copy.mp3"]),
        ("presigned-post", ["form/my song.mp3"]),
        ("presigned-put", ["put.ogg"]),
        ("put-folder", []),
        ("tagging", []),
        ("delete", []),
        ("delete-versioned", []),
    ],
)
def test_a_new_song_becomes_one_call(name: str, keys: list[str]) -> None:
    calls = song_calls((CAPTURES / f"{name}.json").read_bytes(), "songs")
    assert [call.event["subject"] for call in calls] == keys
    assert [call.concurrency_key for call in calls] == [f"songs/{key}" for key in keys]
    assert [call.job for call in calls] == [job_id(call.song) for call in calls if call.song]


def test_a_song_of_another_bucket_gets_no_call() -> None:
    assert song_calls(PUT, "other") == []


def test_an_object_that_is_clearly_no_song_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = notification(ObjectCreated("songs", "mix/.DS_Store", 1, "e"), "r")
    with caplog.at_level(logging.DEBUG):
        assert song_calls(message, "songs") == []
    assert [(record.levelname, vars(record)["key"]) for record in caplog.records] == [
        ("DEBUG", "mix/.DS_Store")
    ]


def test_each_record_of_a_notification_becomes_a_call_in_order() -> None:
    message = json.loads(PUT)
    message["Records"] += json.loads(COPY)["Records"]
    calls = song_calls(encoded(message), "songs")
    assert [call.event["subject"] for call in calls] == ["dir/a b+ü 100%.mp3", "copy.mp3"]


def test_copies_of_a_notification_have_the_same_deduplication_key_and_trace() -> None:
    [first], [second] = song_calls(PUT, "songs"), song_calls(PUT, "songs")
    assert first.deduplication_key == second.deduplication_key
    assert trace_of(first.event) == trace_of(second.event)


def test_copies_of_a_notification_have_spans_of_their_own() -> None:
    [first], [second] = song_calls(PUT, "songs"), song_calls(PUT, "songs")
    assert first.event["traceparent"] != second.event["traceparent"]


def test_another_notification_has_another_deduplication_key_and_trace() -> None:
    [call], [other] = song_calls(PUT, "songs"), song_calls(COPY, "songs")
    assert call.deduplication_key != other.deduplication_key
    assert trace_of(call.event) != trace_of(other.event)


@pytest.mark.parametrize(
    ("key", "count"),
    [
        ("a.mp3/manifest.json", 1),
        ("dir/ü.mp3/failure.json", 1),
        ("a.mp3/drums.mp3", 0),
        ("manifest.json", 0),
        ("a.mp3/my-manifest.json", 0),
    ],
)
def test_only_result_documents_become_result_calls(key: str, count: int) -> None:
    calls = result_calls(STEMS_SUBJECT, result_notification(key), {})
    assert [call.concurrency_key for call in calls] == [key] * count


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (STEMS_SUBJECT, result_notification("a.mp3/manifest.json")),
        (STARTED_SUBJECT, encoded(STARTED)),
    ],
)
def test_overrides_become_extensions_of_events_for_the_sink(subject: str, message: bytes) -> None:
    [call] = result_calls(subject, message, {"cluster": "north"})
    assert call.event["cluster"] == "north"


def test_overrides_do_not_change_the_deduplication_key() -> None:
    message = result_notification("a.mp3/manifest.json")
    [plain] = result_calls(STEMS_SUBJECT, message, {})
    [call] = result_calls(STEMS_SUBJECT, message, {"cluster": "north"})
    assert call.deduplication_key == plain.deduplication_key


def test_a_started_job_becomes_an_event_with_its_own_trace() -> None:
    [call] = result_calls(STARTED_SUBJECT, encoded(STARTED), {})
    assert call.event["type"] == "dev.microdemucs.separation.started"
    assert call.event["id"] == "5d41402abc4b2a76b9719d911017c592.started"
    assert (call.event["subject"], call.event["time"]) == ("dir/a ü.mp3", STARTED["started"])
    assert call.event.data == STARTED
    assert trace_of(call.event) == STARTED["trace"]


def test_a_finished_job_becomes_an_event_for_its_callback() -> None:
    [call] = result_calls(FINISHED_SUBJECT, encoded(FINISHED), {"source1": "x"})
    assert call.event["type"] == "dev.microdemucs.separation.finished"
    assert call.event["id"] == f"5d41402abc4b2a76b9719d911017c592.{'c' * 32}.failure"
    assert (call.event["subject"], call.event["source1"]) == ("dir/a ü.mp3/failure.json", "x")
    assert call.event.data == FINISHED
    assert trace_of(call.event) == FINISHED["trace"]


def test_each_outcome_and_each_failure_for_webhooks_is_an_event_of_its_own() -> None:
    messages = (
        FINISHED,
        FINISHED | {"key": "dir/a ü.mp3/manifest.json"},
        FINISHED | {"callback": ""},
        FINISHED | {"callback": "", "document": '{"finished": "later"}'},
    )
    events = [result_calls(FINISHED_SUBJECT, encoded(message), {})[0] for message in messages]
    assert len({call.event["id"] for call in events}) == 4
    assert len({call.deduplication_key for call in events}) == 4


@pytest.mark.parametrize("trace", ["", "zz", "0" * 32])
def test_an_invalid_trace_is_replaced(trace: str) -> None:
    [call] = result_calls(STARTED_SUBJECT, encoded(STARTED | {"trace": trace}), {})
    assert len(trace_of(call.event)) == 32
    assert int(trace_of(call.event), 16)


@pytest.mark.parametrize("trace", [7, None])
def test_a_trace_that_is_not_text_is_malformed(trace: object) -> None:
    with pytest.raises(MalformedMessage, match=r"trace"):
        result_calls(STARTED_SUBJECT, encoded(STARTED | {"trace": trace}), {})


@pytest.mark.parametrize("attempt", [1, 7])
def test_all_attempts_of_a_delivery_have_its_id(attempt: int) -> None:
    message = DELIVERY | {"attempt": attempt}
    call = delivery_call(read_delivery(encoded(message)))
    assert call.event["type"] == "dev.microdemucs.delivery"
    assert (call.event["id"], call.event["attempt"]) == ("msg_1", str(attempt))
    assert (call.event["subject"], call.event.data) == ("w1", message)
    assert (call.concurrency_key, call.deduplication_key) == ("msg_1", "")
    assert trace_of(call.event) == "a" * 32


@pytest.mark.parametrize(("number", "slot"), [(0, 0), (1, 1), (2, 0), (3, 1)])
def test_the_ranges_of_a_song_share_its_concurrency_keys(number: int, slot: int) -> None:
    message = RANGE | {"range": RANGE["range"] | {"number": number}}
    [call] = separate_calls(RANGE_SUBJECT, encoded(message), "songs")
    assert call.concurrency_key == f"songs/dir/a ü.mp3#{slot}"


def test_a_range_becomes_an_event_with_the_request_as_data() -> None:
    [call] = separate_calls(RANGE_SUBJECT, encoded(RANGE), "songs")
    assert (call.event["type"], call.event["subject"]) == ("dev.microdemucs.range", "dir/a ü.mp3")
    assert (call.event["id"], call.event.data) == (RANGE["id"], RANGE)
    assert trace_of(call.event) == RANGE["trace"]


def test_a_range_of_another_version_is_passed_on_unchanged() -> None:
    """The separate function then runs the whole job again."""
    message = {name: value for name, value in RANGE.items() if name != "audio"}
    [call] = separate_calls(RANGE_SUBJECT, encoded(message | {"heard": {}}), "songs")
    assert call.event.data == message | {"heard": {}}


def test_a_range_belongs_to_its_songs_job_and_has_no_duplicates() -> None:
    [call] = separate_calls(RANGE_SUBJECT, encoded(RANGE), "songs")
    assert call.song
    assert (call.deduplication_key, call.job) == ("", job_id(call.song))


@pytest.mark.parametrize("subject", [REQUEUE_SUBJECT, OLD_REQUEUE_SUBJECT])
def test_a_requeued_song_is_the_same_song_with_the_same_trace(subject: str) -> None:
    [call] = separate_calls(subject, encoded(REQUEUE), "songs")
    assert call.event["type"] == "com.amazonaws.s3.ObjectCreated:Put"
    assert (call.event["subject"], call.concurrency_key) == ("dir/a ü.mp3", "songs/dir/a ü.mp3")
    assert trace_of(call.event) == REQUEUE["trace"]


def test_a_notification_in_the_stream_of_songs_becomes_a_song_call() -> None:
    [call], [expected] = separate_calls(SONGS_SUBJECT, PUT, "songs"), song_calls(PUT, "songs")
    assert call.deduplication_key == expected.deduplication_key
    assert (call.concurrency_key, call.job) == (expected.concurrency_key, expected.job)


@pytest.mark.parametrize(
    "message", [b"", b"\xff", b"3", b"[]", b'"text"', b"null", b"{}", b'{"Records": [null]}']
)
@pytest.mark.parametrize("kind", READERS)
def test_other_json_and_no_json_is_malformed(kind: str, message: bytes) -> None:
    _, read = READERS[kind]
    with pytest.raises(MalformedMessage):
        read(message)


VALUES: list[Any] = [None, 5, [], {"a": 1}, "", "\ud800"]


def variations(document: Any) -> Iterator[tuple[str, bytes]]:
    """Yield `document` with each of its members replaced by each of several values."""

    def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for name, value in items:
            yield (*path, name)
            if isinstance(value, dict | list):
                yield from paths(value, (*path, name))

    for path in paths(document):
        for value in VALUES:
            changed = copy.deepcopy(document)
            parent = changed
            for name in path[:-1]:
                parent = parent[name]
            parent[path[-1]] = value
            yield f"{path} is {value!r}", json.dumps(changed).encode()


@pytest.mark.parametrize("kind", READERS)
def test_a_message_with_any_member_changed_is_malformed_or_can_be_sent(kind: str) -> None:
    """Any other error would crash the handler, and the message would be retried for ever."""
    valid, read = READERS[kind]
    for about, message in variations(json.loads(valid)):
        try:
            for call in read(message):
                headers, body = binary_request(call.event)
                assert all(text.isascii() for text in headers.values()), about
                assert json.loads(body) == call.event.data, about
                if call.song:
                    assert JobRecord.of(call.song).write().decode(), about
                    assert call.job, about
        except MalformedMessage:
            continue
        except Exception as error:
            raise AssertionError(f"{about}: {error!r}") from error


def test_a_delivery_of_the_previous_release_has_its_first_attempt() -> None:
    old = {name: value for name, value in DELIVERY.items() if name not in ("attempt", "receiver")}
    assert delivery_call(read_delivery(encoded(old))).event["attempt"] == "1"
