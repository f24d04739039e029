"""The bridge as a process, between a real NATS and functions that respond as a test wants."""

import json
import threading

from nats.aio.client import Client

from local.ports import free_port
from microdemucs.bus import OLD_REQUEUE_SUBJECT, RANGE_SUBJECT, REQUEUE_SUBJECT, STARTED_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import job_id, song_digest
from testing.http_receiver import Request, Response, in_turn
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.bridge_process import (
    TIME,
    dead_letters_of,
    has_queued,
    job_record,
    new_song,
    notify,
    publish,
    running_bridge,
)
from tests.integration.minio_events.function_server import FunctionServer, Gate
from tests.unit.minio_events.messages import DELIVERY, RANGE, REQUEUE, STARTED


def test_two_copies_of_a_notification_become_one_request(bus_stack: Stack) -> None:
    song = new_song("dir/a ü.mp3")
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song, song, request_id="r1")
        wait_until(lambda: separate.requests and bus_stack.is_idle(), what="both are acknowledged")
        [request] = separate.requests
        assert request.subject == "dir/a%20%C3%BC.mp3"
        assert json.loads(request.body)["s3"]["object"]["eTag"] == "e1"


def test_a_delivered_song_is_logged_once_with_its_job_and_trace(bus_stack: Stack) -> None:
    song = new_song("a.mp3")
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song, song, request_id="r1")
        wait_until(lambda: separate.requests and bus_stack.is_idle())
        [line] = wait_until(lambda: bus_stack.logged("delivered"))
        assert (line["job"], line["trace"]) == (job_id(song), separate.requests[0].trace)


def test_an_object_that_is_no_song_becomes_no_request(bus_stack: Stack) -> None:
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, new_song("cover.jpg"), new_song("folder/"), new_song("last.mp3"))
        wait_until(lambda: separate.requests and bus_stack.is_idle())
        assert separate.subjects() == ["last.mp3"]


def test_a_retry_waits_as_long_as_the_function_asks(bus_stack: Stack) -> None:
    unavailable = in_turn((503, {"Retry-After": "2"}))
    with FunctionServer(unavailable) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, new_song("a.mp3"))
        wait_until(lambda: len(separate.requests) == 2 and bus_stack.is_idle())
        first, second = separate.requests
        assert second.at - first.at >= 2


def test_a_retry_has_the_same_id_and_trace(bus_stack: Stack) -> None:
    with FunctionServer(in_turn((503, {}))) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, new_song("a.mp3"))
        wait_until(lambda: len(separate.requests) == 2 and bus_stack.is_idle())
        first, second = separate.requests
        assert second.headers["ce-id"] == first.headers["ce-id"]
        assert second.trace == first.trace


def test_a_busy_function_uses_up_no_attempts(bus_stack: Stack) -> None:
    busy = in_turn((429, {}), (429, {"Retry-After": "1"}))
    with FunctionServer(busy) as separate, running_bridge(bus_stack, separate, MAX_DELIVER="1"):
        notify(bus_stack, new_song("a.mp3"))
        wait_until(lambda: len(separate.requests) == 3 and bus_stack.is_idle())
        assert dead_letters_of(bus_stack) == []


def test_a_function_that_is_not_up_yet_uses_up_no_attempts(bus_stack: Stack) -> None:
    port = free_port()
    with running_bridge(bus_stack, f"http://127.0.0.1:{port}", MAX_DELIVER="1"):
        notify(bus_stack, new_song("a.mp3"))
        wait_until(
            lambda: len(bus_stack.logged("retry scheduled", reason="no connection")) >= 2,
            what="two retries",
        )
        with FunctionServer(port=port) as separate:
            wait_until(lambda: separate.requests and bus_stack.is_idle())
    assert dead_letters_of(bus_stack) == []


def test_a_rejected_song_becomes_a_dead_letter(bus_stack: Stack) -> None:
    song = new_song("a.mp3")
    with FunctionServer(lambda _: (422, {})) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song, request_id="r1")
        [letter] = wait_until(lambda: dead_letters_of(bus_stack))
        assert (letter.kind, letter.about) == ("songs", job_id(song))
        assert (letter.reason, letter.subject, letter.tries) == ("answer 422", "minio.songs", 1)
        assert letter.body == notification(song, "r1")


def test_a_late_copy_of_a_dead_letter_is_dropped(bus_stack: Stack) -> None:
    song = new_song("a.mp3")
    with FunctionServer(lambda _: (422, {})) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song, request_id="r1")
        before = wait_until(lambda: dead_letters_of(bus_stack))
        notify(bus_stack, song, request_id="r1")  # the durable target's copy, up to 3 s later
        wait_until(bus_stack.is_idle)
        assert len(separate.requests) == 1
        assert dead_letters_of(bus_stack) == before


def test_the_job_of_a_dead_letter_has_failed(bus_stack: Stack) -> None:
    song = new_song("a.mp3")
    with FunctionServer(lambda _: (422, {})) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song)
        wait_until(lambda: dead_letters_of(bus_stack) and bus_stack.is_idle())
        assert job_record(bus_stack, song).state == "failed"


def test_a_message_that_fails_too_often_becomes_a_dead_letter(bus_stack: Stack) -> None:
    song = new_song("a.mp3")
    with (
        FunctionServer(lambda _: (500, {})) as separate,
        running_bridge(bus_stack, separate, MAX_DELIVER="2"),
    ):
        notify(bus_stack, song)
        [letter] = wait_until(lambda: dead_letters_of(bus_stack))
        wait_until(bus_stack.is_idle)
        assert (letter.reason, letter.tries) == ("answer 500", 2)
        assert len(separate.requests) == 2
        assert job_record(bus_stack, song).state == "failed"


def test_malformed_messages_become_dead_letters_and_delay_no_others(bus_stack: Stack) -> None:
    with (
        FunctionServer() as separate,
        FunctionServer() as notify_function,
        running_bridge(bus_stack, separate, notify_function),
    ):
        publish(
            bus_stack,
            ("minio.songs", b"no JSON"),
            ("minio.songs", b'{"Records": [{"eventName": "s3:ObjectCreated:Put"}]}'),
            ("minio.stems", b"[]"),
            (STARTED_SUBJECT, b"[]"),
            ("deliveries.x", b"3"),
        )
        notify(bus_stack, new_song("a.mp3"))
        publish(
            bus_stack,
            (STARTED_SUBJECT, json.dumps(STARTED).encode()),
            ("deliveries.y", json.dumps(DELIVERY).encode()),
        )
        wait_until(lambda: len(separate.requests) == 1 and len(notify_function.requests) == 2)
        wait_until(lambda: len(dead_letters_of(bus_stack)) == 5)
        found = dead_letters_of(bus_stack)
        assert all(letter.reason.startswith("malformed: ") for letter in found)
        assert sorted(letter.kind for letter in found) == [
            *("deliveries", "results", "results", "songs", "songs")
        ]
        wait_until(lambda: bus_stack.is_idle() and bus_stack.is_idle("STEMS", "results"))


def test_requeued_songs_of_both_subjects_reach_the_function(bus_stack: Stack) -> None:
    requeue = json.dumps(REQUEUE).encode()
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        publish(bus_stack, (REQUEUE_SUBJECT, requeue))
        wait_until(lambda: len(separate.requests) == 1 and bus_stack.is_idle())
        other = requeue.replace(b'"r1"', b'"r2"')
        publish(bus_stack, (OLD_REQUEUE_SUBJECT, other))
        wait_until(lambda: len(separate.requests) == 2 and bus_stack.is_idle())
        assert [request.trace for request in separate.requests] == [REQUEUE["trace"]] * 2


def test_two_versions_of_a_song_wait_for_each_other_and_other_songs_do_not(
    bus_stack: Stack,
) -> None:
    gate = Gate()

    def respond(request: Request) -> Response:
        return gate(request) if request.subject == "a.mp3" else (204, {})

    with (
        FunctionServer(respond) as separate,
        running_bridge(bus_stack, separate, SEPARATE_CONCURRENCY="2"),
    ):
        versions = new_song("a.mp3", "e1"), new_song("a.mp3", "e2")
        notify(bus_stack, *versions, new_song("b.mp3"), new_song("c.mp3"))
        wait_until(lambda: {"b.mp3", "c.mp3"} <= set(separate.subjects()))
        assert separate.subjects().count("a.mp3") == 1
        gate.open()
        wait_until(lambda: separate.subjects().count("a.mp3") == 2 and bus_stack.is_idle())


def test_no_more_songs_are_in_work_than_the_concurrency_allows(bus_stack: Stack) -> None:
    gate = Gate()
    with (
        FunctionServer(gate) as separate,
        running_bridge(bus_stack, separate, SEPARATE_CONCURRENCY="2"),
    ):
        notify(bus_stack, *(new_song(f"{number}.mp3") for number in range(5)))
        wait_until(lambda: len(separate.requests) == 2 and has_queued(bus_stack, 5))
        assert len(separate.requests) == 2
        gate.open()
        wait_until(lambda: len(separate.requests) == 5 and bus_stack.is_idle())
        assert gate.most == 2


def test_at_most_at_once_ranges_of_a_song_are_in_work_and_delay_no_other_song(
    bus_stack: Stack,
) -> None:
    gate = Gate()

    def respond(request: Request) -> Response:
        return (204, {}) if request.subject == "b.mp3" else gate(request)

    with (
        FunctionServer(respond) as separate,
        running_bridge(bus_stack, separate, SEPARATE_CONCURRENCY="3"),
    ):
        for number in range(5):
            message = RANGE | {"id": str(number), "range": RANGE["range"] | {"number": number}}
            publish(bus_stack, (RANGE_SUBJECT, json.dumps(message).encode()))
        notify(bus_stack, new_song("b.mp3"))
        wait_until(lambda: "b.mp3" in separate.subjects())
        wait_until(lambda: gate.now == 2)
        gate.open()
        wait_until(lambda: len(separate.requests) == 6 and bus_stack.is_idle())
        assert gate.most == 2


def test_what_a_stopped_bridge_had_in_work_is_sent_again_by_the_next_one(bus_stack: Stack) -> None:
    gate = Gate()
    manifest = ObjectCreated("stems", "a.mp3/manifest.json", 5, "m1", time=TIME)
    with FunctionServer(gate) as server:
        with running_bridge(bus_stack, server, K_SINK=server.url):
            notify(bus_stack, new_song("a.mp3"))
            publish(bus_stack, ("minio.stems", notification(manifest, "r1")))
            wait_until(lambda: len(server.requests) == 2)
            bus_stack.stop("bridge")
            wait_until(lambda: bus_stack.logged("bridge stopped"))
        with running_bridge(bus_stack, server, K_SINK=server.url):
            # less than the ack wait of 30 s: a stopped bridge nacks its messages
            wait_until(lambda: len(server.requests) == 4, 20)
            gate.open()
            wait_until(lambda: bus_stack.is_idle() and bus_stack.is_idle("STEMS", "results"))
        assert sorted(server.subjects()[:2]) == sorted(server.subjects()[2:])


def test_results_and_started_jobs_go_to_the_sink_with_the_overrides(bus_stack: Stack) -> None:
    manifest = ObjectCreated("stems", "a.mp3/manifest.json", 5, "m1", time=TIME)
    overrides = '{"extensions": {"at": "home"}}'
    with (
        FunctionServer() as separate,
        FunctionServer() as sink,
        running_bridge(bus_stack, separate, K_SINK=sink.url, K_CE_OVERRIDES=overrides),
    ):
        publish(
            bus_stack,
            ("minio.stems", notification(manifest, "r1")),
            ("minio.stems", notification(manifest, "r1")),
            (STARTED_SUBJECT, json.dumps(STARTED).encode()),
        )
        wait_until(lambda: len(sink.requests) == 2 and bus_stack.is_idle("STEMS", "results"))
        assert {request.headers["ce-type"] for request in sink.requests} == {
            "com.amazonaws.s3.ObjectCreated:Put",
            "dev.microdemucs.separation.started",
        }
        assert all(request.headers["ce-at"] == "home" for request in sink.requests)


def test_a_result_that_the_sink_accepted_is_recorded_as_notified(bus_stack: Stack) -> None:
    manifest = ObjectCreated("stems", "a.mp3/manifest.json", 5, "m1", time=TIME)

    async def notified(client: Client) -> bytes | None:
        bucket = await client.jetstream().key_value("notified")
        return (await bucket.get(song_digest("a.mp3"))).value

    with FunctionServer() as sink, running_bridge(bus_stack, sink, K_SINK=sink.url):
        publish(bus_stack, ("minio.stems", notification(manifest, "r1")))
        wait_until(lambda: sink.requests and bus_stack.is_idle("STEMS", "results"))
        assert bus_stack.on_bus("tests", notified) == b"m1"


def test_the_bridge_publishes_its_log_on_the_bus(bus_stack: Stack) -> None:
    lines: list[tuple[str, dict[str, str]]] = []

    async def listen(client: Client) -> None:
        subscription = await client.subscribe("logs.>")
        await client.flush()
        publisher = threading.Thread(target=notify, args=(bus_stack, new_song("a.mp3")))
        publisher.start()
        while not lines or lines[-1][1]["event"] != "delivered":
            message = await subscription.next_msg(20)
            lines.append((message.subject, json.loads(message.data)))
        publisher.join()

    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        bus_stack.on_bus("logs", listen)
    subject, line = lines[-1]
    assert subject == "logs.minio-events.info"
    assert (line["route"], line["subject"]) == ("songs", "a.mp3")
