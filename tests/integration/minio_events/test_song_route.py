"""The turns of songs: a real bridge between a real NATS and a function of the test."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from nats.aio.client import Client

from microdemucs.bus import RANGE_SUBJECT
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import JobState, job_id
from microdemucs.manifest import Failure
from minio_events.song_queue import queue_name
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
from tests.unit.minio_events.messages import RANGE


def songs_of(folder: str, count: int) -> list[ObjectCreated]:
    return [new_song(f"{folder}/{number}.mp3") for number in range(count)]


def test_a_job_that_fails_for_good_is_announced_to_webhooks_and_to_each_callback(
    bus_stack: Stack,
) -> None:
    callbacks = ["c" * 32, "d" * 32]
    songs = [replace(new_song("a.mp3"), metadata={"callback": id_}) for id_ in callbacks]
    with (
        FunctionServer(in_turn(*[(422, {})] * 2)) as separate,
        FunctionServer() as notify_function,
        running_bridge(bus_stack, separate, notify_function),
    ):
        for song, request_id in zip(songs, ("r1", "r2"), strict=True):
            notify(bus_stack, song, request_id=request_id)
        wait_until(lambda: len(dead_letters_of(bus_stack)) == 2 and bus_stack.is_idle())
        wait_until(lambda: bus_stack.is_idle("STEMS", "results"), what="all results are accepted")
        events = [json.loads(request.body) for request in notify_function.requests]
    assert {event["callback"] for event in events} == {"", *callbacks}
    for event in events:
        failure = Failure.read(event["document"].encode())
        assert failure.problem["type"] == "urn:micro-demucs:problem:given-up"
    assert job_record(bus_stack, songs[0]).state == JobState.FAILED


def test_one_song_gets_the_next_turn_although_another_submitter_sent_fifty(
    bus_stack: Stack,
) -> None:
    gate = Gate()
    with FunctionServer(gate) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, *songs_of("ann", 50))
        wait_until(lambda: separate.requests and has_queued(bus_stack, 50))
        notify(bus_stack, new_song("bob/1.mp3"))
        wait_until(lambda: has_queued(bus_stack, 51))
        gate.open()
        wait_until(lambda: len(separate.requests) == 51 and bus_stack.is_idle())
    assert separate.subjects()[:3] == ["ann/0.mp3", "bob/1.mp3", "ann/1.mp3"]
    assert len(set(separate.subjects())) == 51


def test_tokens_of_the_api_take_turns(bus_stack: Stack) -> None:
    gate = Gate()

    def sent_by(id_: str, digit: str) -> ObjectCreated:
        key, metadata = f"{digit * 64}.mp3", {"submitter": id_}
        return ObjectCreated("songs", key, 10, "e1", time=TIME, metadata=metadata)

    with FunctionServer(gate) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, *(sent_by("a" * 16, digit) for digit in "123"))
        wait_until(lambda: separate.requests and has_queued(bus_stack, 3))
        notify(bus_stack, sent_by("b" * 16, "4"))
        wait_until(lambda: has_queued(bus_stack, 4))
        gate.open()
        wait_until(lambda: len(separate.requests) == 4 and bus_stack.is_idle())
    assert [subject[0] for subject in separate.subjects()] == ["1", "4", "2", "3"]


def test_more_versions_of_one_song_than_the_consumer_may_have_pending_block_nobody(
    bus_stack: Stack,
) -> None:
    gate = Gate()

    def respond(request: Request) -> Response:
        return gate(request) if request.subject == "ann/a.mp3" else (204, {})

    with (
        FunctionServer(respond) as separate,
        running_bridge(bus_stack, separate, SEPARATE_CONCURRENCY="2"),
    ):
        notify(bus_stack, *(new_song("ann/a.mp3", f"e{number}") for number in range(1100)))
        notify(bus_stack, new_song("bob/1.mp3"))
        wait_until(lambda: "bob/1.mp3" in separate.subjects(), 60)
        assert separate.subjects() == ["ann/a.mp3", "bob/1.mp3"]
        wait_until(lambda: has_queued(bus_stack, 1100), 60)
        gate.open()
        wait_until(lambda: len(separate.requests) == 1101 and bus_stack.is_idle(), 120)


def test_hundreds_of_submitters_have_a_turn_each_before_anybody_has_a_second(
    bus_stack: Stack,
) -> None:
    gate = Gate()
    with FunctionServer(gate) as separate:
        with running_bridge(bus_stack, separate):
            notify(bus_stack, *(new_song(f"{n}/{m}.mp3") for m in range(2) for n in range(200)))
            wait_until(lambda: has_queued(bus_stack, 400))
        gate.open()
        separate.requests.clear()
        bus_stack.log.clear()
        with running_bridge(bus_stack, separate):  # which finds them in the queue
            wait_until(bus_stack.is_idle, 120)
        folders = [subject.split("/")[0] for subject in separate.subjects()]
        assert len(set(folders[:200])) == 200
        assert len(set(separate.subjects())) == 400


def test_ranges_of_a_long_song_take_turns_with_songs_of_others(bus_stack: Stack) -> None:
    gate = Gate()
    with FunctionServer(gate) as separate, running_bridge(bus_stack, separate):
        for number in range(5):
            message = RANGE | {"id": str(number), "range": RANGE["range"] | {"number": number}}
            publish(bus_stack, (RANGE_SUBJECT, json.dumps(message).encode()))
        wait_until(lambda: separate.requests and has_queued(bus_stack, 5))
        notify(bus_stack, new_song("bob/1.mp3"))
        wait_until(lambda: has_queued(bus_stack, 6))
        gate.open()
        wait_until(lambda: len(separate.requests) == 6 and bus_stack.is_idle())
    assert separate.subjects()[1] == "bob/1.mp3"


def test_a_killed_bridge_loses_no_song(bus_stack: Stack) -> None:
    gate = Gate()
    with FunctionServer(gate) as separate:
        with running_bridge(bus_stack, separate):
            notify(bus_stack, *songs_of("ann", 30), *songs_of("bob", 30))
            wait_until(lambda: separate.requests)
            bus_stack.kill("bridge")
        gate.open()
        bus_stack.log.clear()
        with running_bridge(bus_stack, separate):
            wait_until(lambda: bus_stack.is_idle() and len(set(separate.subjects())) == 60, 60)


@contextmanager
def two_bridges(
    stack: Stack, separate: FunctionServer, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a bridge that has the lease, which this yields, and then a second one."""
    with running_bridge(stack, separate, None, **settings):
        wait_until(lambda: stack.logged("lease acquired", lease="songs"))
        first = stack.processes.pop("bridge")
        try:
            urls = {"SEPARATE_URL": separate.url, "NOTIFY_URL": separate.url}
            stack.start("bridge", **urls, **settings)
            wait_until(lambda: len(stack.logged("bridge started")) == 2, 30)
            yield first
        finally:
            first.kill()
            first.wait()


def test_two_bridges_together_keep_to_the_limit_and_send_each_song_once(bus_stack: Stack) -> None:
    gate = Gate()
    with (
        FunctionServer(gate) as separate,
        two_bridges(bus_stack, separate, SEPARATE_CONCURRENCY="2"),
    ):
        notify(bus_stack, *songs_of("ann", 20), *songs_of("bob", 20))
        wait_until(lambda: len(separate.requests) == 2 and has_queued(bus_stack, 40))
        gate.open()
        wait_until(lambda: bus_stack.is_idle() and len(separate.requests) == 40, 60)
        assert len(set(separate.subjects())) == 40
        assert gate.most == 2


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP])
def test_another_bridge_takes_the_songs_over(bus_stack: Stack, end: signal.Signals) -> None:
    with FunctionServer() as separate, two_bridges(bus_stack, separate) as first:
        first.send_signal(end)
        notify(bus_stack, *songs_of("ann", 5))
        wait_until(lambda: bus_stack.is_idle() and len(set(separate.subjects())) == 5, 60)


def test_a_bridge_that_stood_still_sends_no_song_while_another_has_the_lease(
    bus_stack: Stack,
) -> None:
    gate = Gate()
    with (
        FunctionServer(gate) as separate,
        two_bridges(bus_stack, separate, SEPARATE_CONCURRENCY="2") as first,
    ):
        notify(bus_stack, *songs_of("ann", 20))
        wait_until(lambda: len(separate.requests) == 2 and has_queued(bus_stack, 20))
        first.send_signal(signal.SIGSTOP)
        wait_until(lambda: len(separate.requests) == 4, 60)
        gate.open()
        wait_until(lambda: bus_stack.is_idle(), 60)
        sent = len(separate.requests)
        first.send_signal(signal.SIGCONT)
        wait_until(lambda: bus_stack.logged("lease lost", lease="songs"))
        assert len(separate.requests) == sent == 22


def test_a_message_whose_copying_was_not_answered_is_found(bus_stack: Stack) -> None:
    """A bridge was killed after it had copied the message, before it acknowledged it."""
    song = new_song("ann/a.mp3")

    async def copy(client: Client) -> None:
        js = client.jetstream()
        number = (await js.publish("minio.songs", notification(song, "r1"))).seq
        headers = {"Song-Subject": "minio.songs", "Nats-Msg-Id": str(number)}
        subject = f"queue.{queue_name('ann/')}"
        await js.publish(subject, notification(song, "r1"), headers=headers)

    bus_stack.on_bus("tests", copy)
    with FunctionServer() as separate, running_bridge(bus_stack, separate):
        wait_until(lambda: separate.requests and bus_stack.is_idle())
        assert separate.subjects() == ["ann/a.mp3"]


def test_a_song_that_found_the_function_busy_keeps_its_turn(bus_stack: Stack) -> None:
    gate = Gate()
    busy = ["bob/0.mp3"]

    def respond(request: Request) -> Response:
        if request.subject in busy:
            busy.remove(request.subject)
            return 429, {}
        return gate(request)

    with FunctionServer(respond) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, *songs_of("ann", 20))
        wait_until(lambda: separate.requests and has_queued(bus_stack, 20))
        notify(bus_stack, *songs_of("bob", 1))
        wait_until(lambda: has_queued(bus_stack, 21))
        gate.open()
        wait_until(lambda: bus_stack.is_idle() and len(separate.requests) == 22, 60)
        assert separate.subjects().count("bob/0.mp3") == 2


def test_a_dead_letter_leaves_the_queue_and_is_replayed_as_it_came(bus_stack: Stack) -> None:
    song = new_song("ann/a.mp3")
    with FunctionServer(lambda _: (422, {})) as separate, running_bridge(bus_stack, separate):
        notify(bus_stack, song, request_id="r1")
        [letter] = wait_until(lambda: dead_letters_of(bus_stack))
        wait_until(bus_stack.is_idle)
        assert (letter.about, letter.subject) == (job_id(song), "minio.songs")
        assert letter.body == notification(song, "r1")
