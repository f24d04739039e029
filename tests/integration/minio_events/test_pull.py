"""Pull a consumer's messages from a real server, as many at a time as there are slots."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from minio_events import pull
from minio_events.pull import Handler, InFlight, PullConsumer
from testing.stack import Stack
from tests.integration.minio_events.asyncio_waiting import wait_for
from tests.integration.minio_events.connections import connected

ACK_WAIT_S = 30.0  # as provisioned: a message that comes sooner was nacked


class RecordingHandler:
    """Records (body, tries) of each message, and acknowledges it once `open` is set."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, int]] = []
        self.now = 0
        self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, message: InFlight) -> None:
        self.handled.append((message.msg.data.decode(), message.tries))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
            await message.msg.ack()
        finally:
            self.now -= 1

    @property
    def bodies(self) -> list[str]:
        return [body for body, _ in self.handled]

    async def wait_for(self, count: int) -> None:
        await wait_for(
            lambda: len(self.handled) >= count, f"{count} messages are handled: {self.handled}"
        )


@asynccontextmanager
async def pulling(client: Client, handle: Handler, concurrency: int) -> AsyncIterator[PullConsumer]:
    """Pull until the block ends."""
    consumer = PullConsumer(client, "SONGS", "separate", concurrency)
    task = asyncio.create_task(consumer.run(handle))
    try:
        yield consumer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def publish(client: Client, *bodies: str) -> None:
    for body in bodies:
        await client.jetstream().publish("minio.songs", body.encode())


async def pending(client: Client) -> tuple[int, int]:
    """How many messages are undelivered, and how many unacknowledged."""
    info = await client.jetstream().consumer_info("SONGS", "separate")
    return info.num_pending or 0, info.num_ack_pending or 0


async def wait_until_acknowledged(client: Client) -> None:
    async def is_idle() -> bool:
        return await pending(client) == (0, 0)

    await wait_for(is_idle, "all messages are acknowledged")


async def recreate_consumers(stack: Stack, ack_wait: float, *names: str) -> None:
    """Create the consumers anew with another ack wait, in seconds."""
    async with connected(stack, "provision") as root:
        for name in names:
            with suppress(Exception):
                await root.jetstream().delete_consumer("SONGS", name)
            config = ConsumerConfig(durable_name=name, ack_wait=ack_wait)
            await root.jetstream().add_consumer("SONGS", config)


def run(stack: Stack, test: Callable[[Client, RecordingHandler], Awaitable[None]]) -> None:
    async def main() -> None:
        async with connected(stack, "tests") as client:
            await test(client, RecordingHandler())

    asyncio.run(main())


def test_no_more_messages_are_in_flight_than_the_concurrency(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        await publish(client, *"abcde")
        async with pulling(client, handler, 2):
            await handler.wait_for(2)
            assert await pending(client) == (3, 2)
            handler.open.set()
            await handler.wait_for(5)
            await wait_until_acknowledged(client)
        assert handler.bodies == list("abcde")
        assert handler.most == 2

    run(bus_stack, test)


def test_a_message_that_waits_releases_its_slot_and_takes_it_back(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        released = asyncio.Event()

        async def handle(message: InFlight) -> None:
            if message.msg.data == b"a":
                with consumer.release_slot():
                    await released.wait()
            await handler(message)

        handler.open.set()
        await publish(client, *"abc")
        async with pulling(client, handle, 1) as consumer:
            await handler.wait_for(2)
            assert handler.bodies == ["b", "c"]
            released.set()
            await handler.wait_for(3)
            handler.open.clear()
            await publish(client, *"de")
            await handler.wait_for(4)
            assert await pending(client) == (1, 1)  # one slot again
            handler.open.set()

    run(bus_stack, test)


def test_a_message_in_work_is_not_redelivered_after_the_ack_wait(
    bus_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "ACK_WAIT_S", 1.0)  # it is extended long before its end

    async def test(client: Client, handler: RecordingHandler) -> None:
        # The consumer `intake` serves as a clock: nobody extends its ack wait.
        await recreate_consumers(bus_stack, 3.0, "separate", "intake")
        await publish(client, "a")
        async with pulling(client, handler, 2):  # it asks for more, so it would get "a" again
            await handler.wait_for(1)
            clock = await client.jetstream().pull_subscribe_bind("intake", "SONGS")
            for delivery in (1, 2, 3):
                [message] = await clock.fetch(1, timeout=20)
                assert message.metadata.num_delivered == delivery
            info = await client.jetstream().consumer_info("SONGS", "separate")
            assert (info.num_ack_pending, info.num_redelivered) == (1, 0)
        assert handler.handled == [("a", 1)]

    run(bus_stack, test)


def test_a_message_that_is_redelivered_while_in_work_is_handled_once(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        await recreate_consumers(bus_stack, 2.0, "separate")  # ends before it is extended
        messages: list[InFlight] = []

        async def handle(message: InFlight) -> None:
            messages.append(message)
            await handler(message)

        await publish(client, "a")
        async with pulling(client, handle, 2):
            await handler.wait_for(1)
            await wait_for(
                lambda: messages[0].msg.metadata.num_delivered > 1, "the delivery is adopted"
            )
            handler.open.set()
            await wait_until_acknowledged(client)
        assert handler.handled == [("a", 1)]

    run(bus_stack, test)


def test_a_message_whose_handler_crashes_is_redelivered_and_delays_no_other(
    bus_stack: Stack,
) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        await recreate_consumers(bus_stack, 3.0, "separate")

        async def handle(message: InFlight) -> None:
            if message.tries == 1 and message.msg.data == b"a":
                raise ZeroDivisionError
            await handler(message)

        handler.open.set()
        await publish(client, *"ab")
        async with pulling(client, handle, 1):
            await handler.wait_for(2)
        assert handler.handled == [("b", 1), ("a", 2)]

    run(bus_stack, test)


def test_a_consumer_that_is_provisioned_later_is_found(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        async with connected(bus_stack, "provision") as root:
            await root.jetstream().delete_consumer("SONGS", "separate")
        handler.open.set()
        async with pulling(client, handler, 1):
            await publish(client, "a")
            await recreate_consumers(bus_stack, 30, "separate")
            await handler.wait_for(1)

    run(bus_stack, test)


def test_a_consumer_that_is_created_anew_is_found(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        handler.open.set()
        async with pulling(client, handler, 1):
            await publish(client, "a")
            await handler.wait_for(1)
            await recreate_consumers(bus_stack, 30, "separate")
            await handler.wait_for(2)
        assert handler.handled == [("a", 1)] * 2

    run(bus_stack, test)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_pulling_goes_on_after_a_restart_of_the_server(bus_stack: Stack, end: str) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        async with pulling(client, handler, 2):
            await publish(client, "a")
            await handler.wait_for(1)
            await asyncio.to_thread(getattr(bus_stack, end), "nats")
            await wait_for(lambda: not client.is_connected, "the connection is lost")
            bus_stack.start("nats")
            await wait_for(lambda: client.is_connected, "the connection is back")
            await publish(client, "b")
            await handler.wait_for(2)
            handler.open.set()
            await wait_until_acknowledged(client)
        assert handler.handled == [("a", 1), ("b", 1)]

    run(bus_stack, test)


def test_messages_in_flight_are_nacked_at_once_when_pulling_ends(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        await publish(client, *"ab")
        async with pulling(client, handler, 5):  # the request is still open: they must not return
            await handler.wait_for(2)
        assert handler.now == 0
        async with connected(bus_stack, "tests") as other:
            second = RecordingHandler()
            async with pulling(other, second, 5):
                await wait_for(
                    lambda: len(second.handled) == 2, "both are redelivered", ACK_WAIT_S / 3
                )
            assert sorted(second.handled) == [("a", 2), ("b", 2)]

    run(bus_stack, test)


def test_pulling_ends_at_once_while_the_bus_is_away(bus_stack: Stack) -> None:
    async def test(client: Client, handler: RecordingHandler) -> None:
        await publish(client, "a")
        async with pulling(client, handler, 2):
            await handler.wait_for(1)
            await asyncio.to_thread(bus_stack.kill, "nats")
            await wait_for(lambda: not client.is_connected, "the connection is lost")
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 3

    run(bus_stack, test)
