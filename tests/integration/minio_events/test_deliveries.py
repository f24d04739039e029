"""Deliveries between a real NATS and a function notify that responds as a test wants."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nats.aio.client import Client

from microdemucs.messages import Delivery
from testing.http_receiver import Request, Response, in_turn
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.bridge_process import (
    dead_letters_of,
    publish,
    running_bridge,
)
from tests.integration.minio_events.function_server import FunctionServer
from tests.unit.minio_events.messages import DELIVERY


def put_deliveries(stack: Stack, *deliveries: dict[str, Any]) -> None:
    """Publish deliveries as the function notify does."""

    async def send(client: Client) -> None:
        for members in deliveries:
            delivery = Delivery.from_data(DELIVERY | members)
            await client.jetstream().publish(delivery.subject, delivery.write())

    stack.on_bus("notify", send)


def to(receiver: str, target: str, id_: str) -> dict[str, Any]:
    return {"receiver": f"https://{receiver}.example", "target": target, "delivery": id_}


def due(stack: Stack) -> dict[str, int]:
    """Return the subjects of both streams, and how many messages each has."""

    async def read(client: Client) -> dict[str, int]:
        found: dict[str, int] = {}
        for stream in ("OUTBOX", "DELIVERIES"):
            info = await client.jetstream().stream_info(stream, subjects_filter="deliveries.>")
            found |= info.state.subjects or {}
        return found

    found: dict[str, int] = stack.on_bus("tests", read)
    return found


class Targets:
    """Answers each target in its own way; the others at once with 204."""

    def __init__(self, **answers: Callable[[Request], Response]) -> None:
        self._answers = answers

    def __call__(self, request: Request) -> Response:
        return self._answers.get(request.subject, lambda _: (204, {}))(request)


def test_each_attempt_goes_to_notify_without_the_overrides(bus_stack: Stack) -> None:
    overrides = '{"extensions": {"at": "home"}}'
    with (
        FunctionServer(in_turn((503, {"Retry-After": "1"}))) as notify,
        running_bridge(bus_stack, notify, notify, K_CE_OVERRIDES=overrides),
    ):
        put_deliveries(bus_stack, {})
        wait_until(lambda: len(notify.requests) == 2 and bus_stack.has_delivered())
        requests = notify.requests
        assert [request.headers["ce-attempt"] for request in requests] == ["1", "2"]
        assert {request.headers["ce-id"] for request in requests} == {"msg_1"}
        assert all("ce-at" not in request.headers for request in requests)
        assert requests[1].at - requests[0].at >= 1


def test_a_delivery_of_the_previous_release_is_attempted(bus_stack: Stack) -> None:
    old = {name: value for name, value in DELIVERY.items() if name not in ("attempt", "receiver")}
    publish(bus_stack, ("deliveries.msg_1", json.dumps(old).encode()))
    with (
        FunctionServer(in_turn((503, {"Retry-After": "1"}))) as notify,
        running_bridge(bus_stack, notify, notify),
    ):
        wait_until(lambda: len(notify.requests) == 2 and bus_stack.has_delivered())
        assert [request.headers["ce-attempt"] for request in notify.requests] == ["1", "2"]


def test_what_waits_for_its_next_attempt_is_neither_due_nor_in_work(bus_stack: Stack) -> None:
    with (
        FunctionServer(lambda _: (503, {"Retry-After": "3600"})) as notify,
        running_bridge(bus_stack, notify, notify),
    ):
        put_deliveries(bus_stack, *(to("a", "t", f"msg_{n}") for n in range(20)))
        wait_until(lambda: not [name for name in due(bus_stack) if ".wait." not in name])
        assert len(due(bus_stack)) == 20
        assert all(name.startswith("deliveries.wait.") for name in due(bus_stack))
        assert len(notify.requests) == 20


def test_a_bridge_that_starts_finds_all_deliveries_that_are_due(bus_stack: Stack) -> None:
    ids = [f"msg_{number}" for number in range(60)]
    put_deliveries(bus_stack, *(to(f"r{n % 5}", f"t{n % 20}", id_) for n, id_ in enumerate(ids)))
    with FunctionServer() as notify, running_bridge(bus_stack, notify, notify):
        wait_until(bus_stack.has_delivered)
        assert sorted(request.headers["ce-id"] for request in notify.requests) == sorted(ids)


def test_a_delivery_that_a_killed_bridge_had_in_work_is_attempted_again(bus_stack: Stack) -> None:
    hung = threading.Event()

    def respond(_: Request) -> Response:
        hung.wait(60)
        return 204, {}

    with FunctionServer(respond) as notify:
        with running_bridge(bus_stack, notify, notify):
            put_deliveries(bus_stack, {})
            wait_until(lambda: notify.requests)
            bus_stack.kill("bridge")
        hung.set()
        with running_bridge(bus_stack, notify, notify):
            wait_until(lambda: len(notify.requests) == 2 and bus_stack.has_delivered(), 40)
        assert {request.headers["ce-attempt"] for request in notify.requests} == {"1"}


def test_hanging_receivers_with_full_queues_do_not_delay_another(bus_stack: Stack) -> None:
    over = threading.Event()

    def hang(_: Request) -> Response:
        over.wait(60)
        return 204, {}

    hanging = {f"hanging{number}": hang for number in range(40)}
    with (
        FunctionServer(Targets(**hanging)) as notify,
        running_bridge(bus_stack, notify, notify, DELIVERY_CONCURRENCY="16"),
    ):
        put_deliveries(bus_stack, to("healthy", "healthy", "first"))
        wait_until(lambda: "healthy" in notify.subjects())
        put_deliveries(
            bus_stack, *(to(name, name, f"{name}.{n}") for n in range(3) for name in hanging)
        )
        wait_until(lambda: len(notify.requests) >= 17, what="no room for more")
        put_deliveries(bus_stack, to("healthy", "healthy", "second"))
        wait_until(lambda: notify.subjects().count("healthy") == 2)
        assert len([name for name in notify.subjects() if name in hanging]) == 16
        over.set()
        wait_until(bus_stack.has_delivered, 60)


def test_a_hanging_webhook_does_not_delay_another_at_the_same_host(bus_stack: Stack) -> None:
    over = threading.Event()

    def hang(_: Request) -> Response:
        over.wait(60)
        return 204, {}

    put_deliveries(bus_stack, *(to("a", "hanging", f"msg_{number}") for number in range(50)))
    put_deliveries(bus_stack, to("a", "other", "msg_other"))
    with (
        FunctionServer(Targets(hanging=hang)) as notify,
        running_bridge(bus_stack, notify, notify),
    ):
        wait_until(lambda: "other" in notify.subjects())
        assert notify.subjects().count("hanging") <= 4
        over.set()
        wait_until(bus_stack.has_delivered, 60)


def test_a_host_gets_no_more_attempts_at_once_than_the_setting_allows_whatever_its_ports(
    bus_stack: Stack,
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def respond(_: Request) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return 204, {}

    ports = ({"receiver": f"https://a.example:{8000 + n}"} for n in range(60))
    put_deliveries(
        bus_stack, *(to("a", f"t{n}", f"msg_{n}") | port for n, port in enumerate(ports))
    )
    with (
        FunctionServer(respond) as notify,
        running_bridge(bus_stack, notify, notify, RECEIVER_CONCURRENCY="3"),
    ):
        wait_until(bus_stack.has_delivered)
        assert len(notify.requests) == 60
        assert most == 3


def test_while_notify_is_away_no_attempt_is_used_up(bus_stack: Stack) -> None:
    with running_bridge(bus_stack, "http://127.0.0.1:9", MAX_DELIVER="1"):
        put_deliveries(bus_stack, {})
        wait_until(lambda: len(bus_stack.logged("retry scheduled", route="deliveries")) >= 2)
        assert list(due(bus_stack)) == [Delivery.from_data(DELIVERY).subject]
    assert dead_letters_of(bus_stack) == []


def test_a_delivery_that_fails_too_often_becomes_a_dead_letter_with_all_its_attempts(
    bus_stack: Stack,
) -> None:
    with (
        FunctionServer(lambda _: (500, {})) as notify,
        running_bridge(bus_stack, notify, notify, MAX_DELIVER="2"),
    ):
        put_deliveries(bus_stack, {})
        [letter] = wait_until(lambda: dead_letters_of(bus_stack))
        wait_until(bus_stack.has_delivered)
        assert (letter.kind, letter.about, letter.tries) == ("deliveries", "msg_1", 2)
        subject = Delivery.from_data(DELIVERY).subject
        assert letter.subject == subject.replace("deliveries.new", "deliveries.due")
        assert json.loads(letter.body) == DELIVERY
        assert len(notify.requests) == 2


@contextmanager
def ended_at_last(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End the process with the block, also if the block fails."""
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_of_two_bridges_one_delivers_and_the_other_takes_over(bus_stack: Stack) -> None:
    with FunctionServer() as notify, running_bridge(bus_stack, notify, notify):
        wait_until(lambda: bus_stack.logged("lease acquired", lease="deliveries"))
        bus_stack.stop("intake")  # the next block starts another one
        first = bus_stack.processes.pop("bridge")
        with ended_at_last(first), running_bridge(bus_stack, notify, notify):
            put_deliveries(bus_stack, *(to("a", f"t{n}", f"msg_{n}") for n in range(30)))
            wait_until(bus_stack.has_delivered)
            assert len(notify.requests) == 30
            first.terminate()
            first.wait(20)
            put_deliveries(bus_stack, to("a", "t", "last"))
            wait_until(partial(bus_stack.has_delivered), 30)
            assert len(notify.requests) == 31
            wait_until(lambda: len(bus_stack.logged("lease acquired", lease="deliveries")) == 2)
