"""The bridge as a process, between a real NATS and functions that answer as a test wants."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from local.ports import free_port
from microdemucs.bus import RANGE_SUBJECT, STARTED_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id, song_digest
from microdemucs.paths import ROOT
from testing.waiting import wait_until
from tests.integration.minio_events.bridging import (
    bridged,
    buried,
    publish,
    put,
    record,
    song,
)
from tests.integration.minio_events.functions import function, in_turn
from tests.unit.minio_events.messages import DELIVERY, RANGE, STARTED


def test_a_song_told_of_twice_is_one_call_one_job_that_waits_and_then_nothing(bus):
    one = song("dir/a ü.mp3")
    with function() as separate, bridged(bus, separate):
        put(bus, one, one, request_id="r1")
        wait_until(lambda: separate.got and bus.is_idle(), what="both messages are done with")
        wait_until(lambda: bus.is_idle(consumer="intake"))
        [request] = separate.got
        assert request.subject == "dir/a%20%C3%BC.mp3"
        assert json.loads(request.body)["s3"]["object"]["eTag"] == "e1"
        waits = record(bus, one)
        assert (waits.state, waits.key, waits.etag) == ("waiting", one.key, "e1")
        assert waits.trace == request.headers["traceparent"].split("-")[1]
        assert buried(bus) == []
        [line] = bus.logged("delivered")
        assert (line["job"], line["trace"]) == (waits.id, waits.trace)


def test_other_objects_are_left_alone(bus):
    with function() as separate, bridged(bus, separate):
        put(bus, song("cover.jpg"), song("folder/"), song("last.mp3"))
        wait_until(lambda: separate.got and bus.is_idle())
        assert separate.subjects() == ["last.mp3"]


def test_a_function_that_asks_for_time_gets_it(bus):
    with function(in_turn((503, {"Retry-After": "2"}))) as separate, bridged(bus, separate):
        put(bus, song("a.mp3"))
        wait_until(lambda: len(separate.got) == 2 and bus.is_idle())
        first, second = separate.got
        assert second.at - first.at >= 2
        assert second.headers["ce-id"] == first.headers["ce-id"]
        assert (
            second.headers["ce-traceparent"].split("-")[1]
            == (first.headers["ce-traceparent"].split("-")[1])
        )


def test_a_busy_function_uses_up_no_attempts(bus):
    busy = in_turn((429, {}), (429, {"Retry-After": "1"}))
    with function(busy) as separate, bridged(bus, separate, MAX_DELIVER="1"):
        put(bus, song("a.mp3"))
        wait_until(lambda: len(separate.got) == 3 and bus.is_idle())
        assert buried(bus) == []


def test_a_function_that_is_not_there_yet_uses_up_no_attempts(bus):
    port = free_port()
    with bridged(bus, f"http://127.0.0.1:{port}", MAX_DELIVER="1"):
        put(bus, song("a.mp3"))
        wait_until(lambda: len(bus.logged("again later", reason="no connection")) >= 2)
        with function(port=port) as separate:
            wait_until(lambda: separate.got and bus.is_idle())
    assert buried(bus) == []


def test_a_refused_song_is_a_dead_letter_and_a_failed_job_and_its_late_copy_is_nothing(bus):
    one = song("a.mp3")
    with function(lambda _: (422, {})) as separate, bridged(bus, separate):
        put(bus, one, request_id="r1")
        [letter] = wait_until(lambda: buried(bus))
        put(bus, one, request_id="r1")  # from the sure target, which may take 3 s
        wait_until(lambda: bus.is_idle())
        assert len(separate.got) == 1
        assert buried(bus) == [letter]
        assert (letter.kind, letter.about) == ("songs", job_id(one))
        assert (letter.reason, letter.subject, letter.tries) == ("answer 422", "minio.songs", 1)
        assert letter.body == notification(one, "r1")
        failed = wait_until(lambda: (r := record(bus, one)).state == "failed" and r)
        assert failed.problem["type"] == "urn:micro-demucs:problem:given-up"
        assert failed.finished


def test_what_failed_too_often_is_a_dead_letter(bus):
    with function(lambda _: (500, {})) as separate, bridged(bus, separate, MAX_DELIVER="2"):
        put(bus, song("a.mp3"))
        [letter] = wait_until(lambda: buried(bus))
        wait_until(lambda: bus.is_idle())
        assert (letter.reason, letter.tries, len(separate.got)) == ("answer 500", 2, 2)
        assert record(bus, song("a.mp3")).state == "failed"


def test_what_cannot_be_read_is_a_dead_letter_and_holds_up_nothing(bus):
    started = json.dumps(STARTED).encode()
    with function() as separate, function() as notify, bridged(bus, separate, notify):
        publish(
            bus,
            ("minio.songs", b"no JSON"),
            ("minio.songs", b'{"Records": [{"eventName": "s3:ObjectCreated:Put"}]}'),
            ("minio.stems", b"[]"),
            (STARTED_SUBJECT, b"[]"),
            ("deliveries.x", b"3"),
        )
        put(bus, song("a.mp3"))
        publish(bus, (STARTED_SUBJECT, started), ("deliveries.y", json.dumps(DELIVERY).encode()))
        wait_until(lambda: len(separate.got) == 1 and len(notify.got) == 2)
        wait_until(lambda: len(buried(bus)) == 5)
        assert all(letter.reason.startswith("malformed: ") for letter in buried(bus))
        assert sorted(letter.kind for letter in buried(bus)) == [
            *("deliveries", "results", "results", "songs", "songs")
        ]
        wait_until(lambda: bus.is_idle() and bus.is_idle("STEMS", "results"))


def test_two_versions_of_a_song_wait_for_each_other_and_other_songs_do_not(bus):
    let = threading.Event()

    def answer(request):
        if request.subject == "a.mp3":
            assert let.wait(30)
        return 204, {}

    with (
        function(answer) as separate,
        bridged(bus, separate, SEPARATE_CONCURRENCY="2"),
    ):
        put(bus, song("a.mp3", "e1"), song("a.mp3", "e2"), song("b.mp3"), song("c.mp3"))
        wait_until(lambda: {"b.mp3", "c.mp3"} <= set(separate.subjects()))
        assert separate.subjects().count("a.mp3") == 1
        let.set()
        wait_until(lambda: separate.subjects().count("a.mp3") == 2 and bus.is_idle())


def test_no_more_songs_are_in_work_than_there_are_places(bus):
    let, now, most = threading.Event(), [], []

    def answer(request):
        now.append(request)
        most.append(len(now))
        assert let.wait(30)
        now.remove(request)
        return 204, {}

    with function(answer) as separate, bridged(bus, separate, SEPARATE_CONCURRENCY="2"):
        put(bus, *(song(f"{number}.mp3") for number in range(5)))
        wait_until(lambda: len(separate.got) == 2)
        wait_until(lambda: bus.is_idle(consumer="intake"))
        assert len(separate.got) == 2
        let.set()
        wait_until(lambda: len(separate.got) == 5 and bus.is_idle())
        assert max(most) == 2


def test_a_song_has_as_many_ranges_in_work_as_it_may_and_holds_up_no_other_song(bus):
    let, now, most = threading.Event(), [], []

    def answer(request):
        if request.subject == "b.mp3":
            return 204, {}
        now.append(request)
        most.append(len(now))
        assert let.wait(30)
        now.remove(request)
        return 204, {}

    with function(answer) as separate, bridged(bus, separate, SEPARATE_CONCURRENCY="3"):
        for number in range(5):
            said = RANGE | {"id": str(number), "range": RANGE["range"] | {"number": number}}
            publish(bus, (RANGE_SUBJECT, json.dumps(said).encode()))
        put(bus, song("b.mp3"))
        wait_until(lambda: "b.mp3" in separate.subjects())
        assert len(now) == 2
        let.set()
        wait_until(lambda: len(separate.got) == 6 and bus.is_idle())
        assert max(most) == 2


def test_told_to_stop_it_hands_back_at_once_what_is_in_work(bus):
    let = threading.Event()

    def answer(_):
        let.wait(30)
        return 204, {}

    with function(answer) as separate:
        with bridged(bus, separate):
            put(bus, song("a.mp3"))
            wait_until(lambda: separate.got)
            began = time.monotonic()
            bus.stop("bridge")
            assert time.monotonic() - began < 5
            assert bus.logged("bridge stopped")
        bus.log.clear()
        with bridged(bus, separate):
            wait_until(lambda: len(separate.got) == 2, 12)  # without the ack wait of 30 s
            let.set()
            wait_until(lambda: bus.is_idle())


def test_results_go_to_the_sink_and_deliveries_to_notify(bus):
    mark = ObjectCreated("stems", "a.mp3/manifest.json", 5, "m1", time="2026-11-22T17:25:34.544Z")
    with (
        function() as separate,
        function(in_turn((503, {"Retry-After": "1"}))) as notify,
        function() as sink,
        bridged(
            bus, separate, notify, K_SINK=sink.url, K_CE_OVERRIDES='{"extensions": {"at": "home"}}'
        ),
    ):
        publish(
            bus,
            ("minio.stems", notification(mark, "r1")),
            ("minio.stems", notification(mark, "r1")),
            (STARTED_SUBJECT, json.dumps(STARTED).encode()),
            ("deliveries.msg_1", json.dumps(DELIVERY).encode()),
        )
        wait_until(lambda: len(sink.got) == 2 and len(notify.got) == 2)
        wait_until(lambda: bus.is_idle("STEMS", "results"))
        assert {request.headers["ce-type"] for request in sink.got} == {
            "com.amazonaws.s3.ObjectCreated:Put",
            "dev.microdemucs.separation.started",
        }
        assert all(request.headers["ce-at"] == "home" for request in sink.got)
        assert [request.headers["ce-attempt"] for request in notify.got] == ["1", "2"]
        assert {request.headers["ce-id"] for request in notify.got} == {"msg_1"}
        assert all("ce-at" not in request.headers for request in notify.got)

        async def told(client):
            entry = await (await client.jetstream().key_value("told")).get(song_digest("a.mp3"))
            return entry.value

        assert wait_until(lambda: bus.on_bus("events", told)) == b"m1"


def test_a_session_that_the_bus_ends_for_good_ends_the_bridge_with_one_line(bus, tmp_path):
    """As where its password is changed: nats-py does not connect again then."""
    bus.kill("nats")
    config, text = tmp_path / "nats.conf", (ROOT / "minio-events" / "nats.conf").read_text()
    password = bus.environment.variables["NATS_EVENTS_PASSWORD"]
    config.write_text(text.replace("$NATS_EVENTS_PASSWORD", password))
    server = subprocess.Popen(
        ["nats-server", "-c", str(config)],
        env=os.environ | bus.environment.variables,
        stderr=subprocess.DEVNULL,
    )
    try:
        bus.start("bridge")
        wait_until(lambda: bus.logged("bridge started"), 30)
        config.write_text(text.replace("$NATS_EVENTS_PASSWORD", "other"))
        server.send_signal(signal.SIGHUP)
        assert bus.processes["bridge"].wait(20) == 1
        said = (bus.environment.folder / "bridge.log").read_text()
        assert said == "the bus ended the session for good: start again\n"
    finally:
        server.kill()
        server.wait()


def test_its_log_is_on_the_bus(bus):
    heard = []

    async def listen(client):
        subscription = await client.subscribe("logs.>")
        await client.flush()
        put_one = threading.Thread(target=put, args=(bus, song("a.mp3")))
        put_one.start()
        while not heard or heard[-1][1]["event"] != "delivered":  # others may speak before it
            line = await subscription.next_msg(20)
            heard.append((line.subject, json.loads(line.data)))
        put_one.join()

    with function() as separate, bridged(bus, separate):
        bus.on_bus("logs", listen)
    subject, line = heard[-1]
    assert subject == "logs.minio-events.info"
    assert (line["route"], line["subject"]) == ("songs", "a.mp3")


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("NATS_PASSWORD", "wrong", "the bus at .* refuses NATS_USER and NATS_PASSWORD"),
        ("K_SINK", "nowhere", "K_SINK is 'nowhere': it must be a URL as in .*"),
        ("MAX_DELIVER", "many", "MAX_DELIVER is 'many': it must be a number"),
        *(
            ("K_CE_OVERRIDES", value, "K_CE_OVERRIDES is .*: it must be as in .*")
            for value in ("nonsense", "[]", '{"extensions": 3}', '{"extensions": {"A-b": "c"}}')
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(bus, setting, value, line):
    done = subprocess.run(
        [sys.executable, "-m", "minio_events", "bridge"],
        cwd=ROOT,
        env=os.environ | bus.environment.for_component("events") | {setting: value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert re.fullmatch(line, said)
