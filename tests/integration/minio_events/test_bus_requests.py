"""Requests to a real bus, many at a time."""

import asyncio
import json

import nats.errors
import pytest
from nats.aio.client import Client

from minio_events.bus_requests import BusRequests
from testing.stack import Stack
from tests.integration.minio_events.connections import connected

READ = "$JS.API.DIRECT.GET.QUEUE"


async def publish(requests: BusRequests, *bodies: str) -> list[int]:
    """Put messages into the stream QUEUE at once; return their numbers."""
    replies = await asyncio.gather(
        *(requests.send("queue.a", body.encode(), {}) for body in bodies)
    )
    return [json.loads(reply.data)["seq"] for reply in replies]


def test_each_of_many_requests_has_its_own_reply(bus_stack: Stack) -> None:
    async def scenario(client: Client) -> None:
        numbers = await publish(BusRequests(client, timeout_s=60), *map(str, range(500)))
        assert numbers == list(range(1, 501))

    bus_stack.on_bus("tests", scenario)


def test_headers_arrive(bus_stack: Stack) -> None:
    async def scenario(client: Client) -> None:
        requests = BusRequests(client)
        for _ in range(2):
            reply = await requests.send("queue.a", b"", {"Nats-Msg-Id": "1"})
        assert json.loads(reply.data)["duplicate"]

    bus_stack.on_bus("tests", scenario)


def test_a_request_has_all_its_replies_in_order_and_then_a_status(bus_stack: Stack) -> None:
    async def scenario(client: Client) -> None:
        requests = BusRequests(client)
        await publish(requests, "1", "2", "3")
        request = json.dumps({"seq": 1, "next_by_subj": "queue.a", "batch": 9}).encode()
        *replies, status = await requests.send_for_many(READ, request)
        assert [reply.data for reply in replies] == [b"1", b"2", b"3"]
        assert (status.headers or {})["Status"] == "204"

    bus_stack.on_bus("tests", scenario)


def test_a_subject_of_which_nobody_takes_messages_is_an_error(bus_stack: Stack) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(nats.errors.NoRespondersError):
            await BusRequests(client).send("logs.minio-events.info", b"", {})

    bus_stack.on_bus("tests", scenario)


def test_a_bus_that_is_away_ends_requests_and_the_next_ones_succeed(bus_stack: Stack) -> None:
    async def main() -> None:
        async with connected(bus_stack, "tests") as client:
            requests, patient = (BusRequests(client, timeout_s=limit) for limit in (0.2, 30))
            assert await publish(patient, "1") == [1]
            bus_stack.kill("nats")
            with pytest.raises(nats.errors.Error):
                await publish(requests, "2")
            bus_stack.start("nats")
            async with asyncio.timeout(60):
                while not client.is_connected:
                    await asyncio.sleep(0.05)
            assert (await publish(patient, "3"))[0] > 1

    asyncio.run(main())
