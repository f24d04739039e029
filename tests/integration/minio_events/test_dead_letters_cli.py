"""The command for what was given up: list, show, replay, drop."""

import json
import os
import subprocess
import sys

import pytest

from microdemucs.bus import STARTED_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id
from microdemucs.paths import ROOT
from minio_events.dead_letters import token
from testing.waiting import wait_until
from tests.integration.minio_events.bridging import bridged, buried, publish, put, song
from tests.integration.minio_events.functions import function, in_turn
from tests.unit.minio_events.messages import DELIVERY, STARTED


def command(bus, *words, fails=False):
    """What `deadletters` prints with `words`; where it is to fail, its one line on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "minio_events", "deadletters", *words],
        cwd=ROOT,
        env=os.environ | bus.environment.for_component("events"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == (1 if fails else 0), done.stderr
    if fails:
        [line] = done.stderr.splitlines()
        return line
    assert done.stderr == ""
    return done.stdout.splitlines()


def dead_letter(bus, *letters):
    """Put (kind, about, reason, subject, body) into the stream as the bridge does."""

    async def send(client):
        for kind, about, reason, subject, body in letters:
            headers = {
                "Dead-Reason": reason,
                "Dead-Subject": subject,
                "Dead-Tries": "3",
            }
            await client.jetstream().publish(
                f"dead.{kind}.{token(about)}",
                body,
                headers=headers | {"Dead-Time": "2026"},
            )

    bus.on_bus("events", send)


@pytest.fixture
def three(bus):
    dead_letter(
        bus,
        ("songs", "job1", "answer 422", "minio.songs", notification(song("ü.mp3"), "r1")),
        ("results", "a.mp3/manifest.json", "answer 400", "minio.stems", b'{"Records": []}'),
        ("deliveries", "1", "malformed: not JSON", "deliveries.x", b"no \xff JSON"),
    )
    return bus


def test_list_tells_of_each_and_how_many(three):
    lines = command(three, "list")
    assert [line.split()[:4] for line in lines[:-1]] == [
        ["1", "2026", "songs", "job1"],
        ["2", "2026", "results", token("a.mp3/manifest.json")],
        ["3", "2026", "deliveries", "1"],
    ]
    assert lines[2].endswith("malformed: not JSON")
    assert lines[-1] == "3 dead letters"
    assert len(buried(three)) == 3


def test_show_tells_why_and_what(three):
    lines = command(three, "show", "1")
    assert lines[:2] == ["minio.songs: answer 422", "given up 2026, tried 3 times"]
    assert json.loads("\n".join(lines[2:])) == json.loads(notification(song("ü.mp3"), "r1"))


def test_show_tells_what_cannot_be_read_as_it_is(three):
    assert command(three, "show", "3")[2:] == [r"no \xff JSON"]


def test_drop_forgets_one_or_all(three):
    assert command(three, "drop", "2") == ["2: dropped"]
    assert [letter.number for letter in buried(three)] == [1, 3]
    assert command(three, "drop", "all") == ["1: dropped", "3: dropped"]
    assert command(three, "list") == ["0 dead letters"]
    assert command(three, "drop", "all") == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "9"], "there is no dead letter 9; `list` shows which there are"),
        (["drop", "1", "x"], "there is no dead letter x; `list` shows which there are"),
        (["replay"], "replay which? Name numbers as `list` shows them, or all"),
    ],
)
def test_what_is_not_there_is_one_line_and_nothing_is_done(three, words, line):
    assert command(three, *words, fails=True) == line
    assert len(buried(three)) == 3


def test_a_wrong_password_is_one_line(bus):
    bus.environment.variables["NATS_EVENTS_PASSWORD"] = "wrong"
    assert "refuses NATS_USER and NATS_PASSWORD" in command(bus, "list", fails=True)


def test_a_replayed_song_reaches_the_function_again(bus):
    with function(in_turn((422, {}))) as separate, bridged(bus, separate):
        put(bus, song("a.mp3"))
        [letter] = wait_until(lambda: buried(bus))
        assert command(bus, "replay", str(letter.number)) == [f"{letter.number}: sent again"]
        wait_until(lambda: len(separate.got) == 2 and bus.is_idle())
        first, second = separate.got
        assert second.body == first.body
        assert second.headers["ce-id"] == first.headers["ce-id"]
        assert buried(bus) == []


def test_a_replayed_song_that_fails_again_is_a_dead_letter_again(bus):
    with function(in_turn((422, {}), (404, {}))) as separate, bridged(bus, separate):
        put(bus, song("a.mp3"))
        [first] = wait_until(lambda: buried(bus))
        command(bus, "replay", "all")
        [second] = wait_until(lambda: [one for one in buried(bus) if one.number != first.number])
        assert second.reason == "answer 404"
        assert (second.about, second.body) == (first.about, first.body)
        assert first.about == job_id(song("a.mp3"))


def test_results_starts_and_deliveries_are_replayed_to_where_they_were_going(bus):
    mark = ObjectCreated("stems", "a.mp3/manifest.json", 5, "m1", time="2026-11-22T17:25:34.544Z")
    with (
        function() as separate,
        function(in_turn(*[(400, {})] * 3)) as notify,
        bridged(bus, separate, notify),
    ):
        publish(
            bus,
            ("minio.stems", notification(mark, "r1")),
            (STARTED_SUBJECT, json.dumps(STARTED).encode()),
            ("deliveries.msg_1", json.dumps(DELIVERY).encode()),
        )
        wait_until(lambda: len(buried(bus)) == 3)
        assert sorted(letter.kind for letter in buried(bus)) == ["deliveries", "results", "results"]
        assert len(command(bus, "replay", "all")) == 3
        wait_until(lambda: len(notify.got) == 6)
        ids = [request.headers["ce-id"] for request in notify.got]
        assert sorted(ids[:3]) == sorted(ids[3:])
        wait_until(lambda: bus.is_idle("STEMS", "results"))
        assert buried(bus) == []
