"""Which message asks for which call, on what a real MinIO said (tests/captures)."""

import copy
import json

import pytest

from microdemucs.bus import (
    RANGE_SUBJECT,
    REQUEUE_SUBJECT,
    SONGS_SUBJECT,
    STARTED_SUBJECT,
    STEMS_SUBJECT,
)
from microdemucs.events import MalformedMessage, ObjectCreated, notification
from microdemucs.jobs import JobRecord, job_id
from microdemucs.paths import ROOT
from minio_events.forward import request
from minio_events.routing import (
    delivery_call,
    range_call,
    result_calls,
    song_calls,
    trace_of,
    waiting_calls,
)
from tests.unit.minio_events.messages import DELIVERY, RANGE, STARTED

CAPTURES = ROOT / "tests/captures"
PUT = (CAPTURES / "put.json").read_bytes()


def result(key, request_id="r1"):
    return notification(ObjectCreated("stems", key, 10, "e1", time="2026-01-01"), request_id)


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
def test_a_song_with_new_bytes_becomes_one_call(name, keys):
    calls = song_calls((CAPTURES / f"{name}.json").read_bytes(), "songs")
    assert [call.event["subject"] for call in calls] == keys
    assert [call.turn for call in calls] == [f"songs/{key}" for key in keys]
    assert [call.job for call in calls] == [job_id(call.song) for call in calls]


def test_songs_of_another_bucket_are_left_alone():
    assert song_calls(PUT, "other") == []


def test_every_record_of_a_message_is_a_call_in_its_order():
    message = json.loads(PUT)
    other = json.loads((CAPTURES / "copy.json").read_bytes())
    message["Records"] += other["Records"]
    calls = song_calls(json.dumps(message).encode(), "songs")
    assert [call.song.key for call in calls] == ["dir/a b+ü 100%.mp3", "copy.mp3"]


def test_copies_have_their_news_and_their_trace_in_common_and_other_news_has_not():
    [one], [copy_] = song_calls(PUT, "songs"), song_calls(PUT, "songs")
    assert (one.same, trace_of(one.event)) == (copy_.same, trace_of(copy_.event))
    assert one.event["traceparent"] != copy_.event["traceparent"]  # each a span of its own
    [other] = song_calls((CAPTURES / "copy.json").read_bytes(), "songs")
    assert other.same != one.same
    assert trace_of(other.event) != trace_of(one.event)


@pytest.mark.parametrize(
    ("key", "calls"),
    [
        ("a.mp3/manifest.json", 1),
        ("dir/ü.mp3/failure.json", 1),
        ("a.mp3/drums.mp3", 0),
        ("manifest.json", 0),
        ("a.mp3/my-manifest.json", 0),
    ],
)
def test_only_marks_are_results(key, calls):
    found = result_calls(STEMS_SUBJECT, result(key), {})
    assert [call.turn for call in found] == [key] * calls


def test_overrides_are_extensions_of_what_goes_to_the_sink_and_change_no_news():
    [plain] = result_calls(STEMS_SUBJECT, result("a.mp3/manifest.json"), {})
    [call] = result_calls(STEMS_SUBJECT, result("a.mp3/manifest.json"), {"cluster": "north"})
    assert call.event["cluster"] == "north"
    assert call.same == plain.same
    [begun] = result_calls(STARTED_SUBJECT, json.dumps(STARTED).encode(), {"cluster": "north"})
    assert begun.event["cluster"] == "north"


def test_a_started_job_is_told_with_its_own_trace():
    [call] = result_calls(STARTED_SUBJECT, json.dumps(STARTED).encode(), {})
    assert call.event["type"] == "dev.microdemucs.separation.started"
    assert call.event["id"] == "5d41402abc4b2a76b9719d911017c592.started"
    assert (call.event["subject"], call.event["time"]) == ("dir/a ü.mp3", STARTED["started"])
    assert call.event.data == STARTED
    assert trace_of(call.event) == STARTED["trace"]


@pytest.mark.parametrize("trace", ["", "zz", "0" * 32, 7, None])
def test_a_trace_that_is_none_is_replaced(trace):
    [call] = result_calls(STARTED_SUBJECT, json.dumps(STARTED | {"trace": trace}).encode(), {})
    assert len(trace_of(call.event)) == 32
    assert int(trace_of(call.event), 16)


@pytest.mark.parametrize("attempt", [1, 7])
def test_a_delivery_is_an_attempt_with_the_id_of_all(attempt):
    call = delivery_call(json.dumps(DELIVERY).encode(), attempt)
    assert call.event["type"] == "dev.microdemucs.delivery"
    assert (call.event["id"], call.event["attempt"]) == ("msg_1", str(attempt))
    assert (call.event["subject"], call.event.data) == ("w1", DELIVERY)
    assert (call.turn, call.same) == ("msg_1", "")
    assert trace_of(call.event) == "a" * 32


@pytest.mark.parametrize(("number", "turn"), [(0, 0), (1, 1), (2, 0), (3, 1)])
def test_a_range_is_a_call_of_its_song_in_one_of_its_turns(number, turn):
    said = RANGE | {"range": RANGE["range"] | {"number": number}}
    [call] = waiting_calls(RANGE_SUBJECT, json.dumps(said).encode(), "songs")
    assert (call.event["type"], call.event["subject"]) == ("dev.microdemucs.range", "dir/a ü.mp3")
    assert (call.event["id"], call.event.data) == (RANGE["id"], said)
    assert call.turn == f"songs/dir/a ü.mp3#{turn}"
    assert (call.same, call.job) == ("", job_id(call.song))
    assert trace_of(call.event) == RANGE["trace"]


def test_a_song_that_comes_again_is_the_same_song_on_the_same_trace():
    said = {"Records": [RANGE["song"]], "trace": RANGE["trace"]}
    [call] = waiting_calls(REQUEUE_SUBJECT, json.dumps(said).encode(), "songs")
    assert (call.event["subject"], call.turn) == ("dir/a ü.mp3", "songs/dir/a ü.mp3")
    assert trace_of(call.event) == RANGE["trace"]


def test_a_notification_is_what_it_was():
    [one], [other] = song_calls(PUT, "songs"), waiting_calls(SONGS_SUBJECT, PUT, "songs")
    assert (one.same, one.turn, one.job) == (other.same, other.turn, other.job)


NO_JSON_OF_OURS = [b"", b"\xff", b"3", b"[]", b'"text"', b"null", b"{}", b'{"Records": [null]}']


@pytest.mark.parametrize("message", NO_JSON_OF_OURS)
@pytest.mark.parametrize(
    "read",
    [
        lambda message: song_calls(message, "songs"),
        lambda message: result_calls(STEMS_SUBJECT, message, {}),
        lambda message: result_calls(STARTED_SUBJECT, message, {}),
        lambda message: delivery_call(message, 1),
        range_call,
    ],
    ids=["song", "result", "started", "delivery", "range"],
)
def test_what_is_none_of_ours_is_malformed(read, message):
    with pytest.raises(MalformedMessage):
        read(message)


def broken(document, values=(None, 5, [], {"a": 1}, "", "\ud800")):
    """`document` again and again, each time with one of its leaves something else, or gone."""

    def paths(node, path=()):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for name, value in items:
            yield (*path, name)
            if isinstance(value, dict | list):
                yield from paths(value, (*path, name))

    for path in paths(document):
        for value in values:
            changed = copy.deepcopy(document)
            at = changed
            for name in path[:-1]:
                at = at[name]
            at[path[-1]] = value
            yield path, value, json.dumps(changed).encode()


@pytest.mark.parametrize(
    ("document", "read"),
    [
        (json.loads(PUT), lambda message: song_calls(message, "songs")),
        (
            json.loads(result("a.mp3/manifest.json")),
            lambda message: result_calls(STEMS_SUBJECT, message, {}),
        ),
        (STARTED, lambda message: result_calls(STARTED_SUBJECT, message, {})),
        (DELIVERY, lambda message: [delivery_call(message, 1)]),
        (RANGE, lambda message: [range_call(message)]),
    ],
    ids=["song", "result", "started", "delivery", "range"],
)
def test_a_message_with_anything_in_it_is_malformed_or_can_be_sent(document, read):
    """Nothing else: what fails in another way would come again for ever."""
    for path, value, message in broken(document):
        about = f"{path} is {value!r}"
        try:
            for call in read(message):
                headers, body = request(call.event)
                assert all(text.isascii() for text in headers.values()), about
                assert json.loads(body) == call.event.data, about
                if call.song:
                    assert JobRecord.of(call.song).write().decode(), about
                    assert call.job, about
        except MalformedMessage:
            continue
        except Exception as error:
            raise AssertionError(f"{about}: {error!r}") from error
