"""The queue of each submitter, on a real bus."""

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from minio_events.song_queue import QueuedMessage, SongQueue, queue_name
from testing.stack import Stack
from tests.integration.minio_events.connections import connected

Use = Callable[[SongQueue, Callable[[bytes], Awaitable[Msg]]], Awaitable[None]]


def run(stack: Stack, use: Use) -> None:
    """Call `use` with the queue, and with a function that publishes a song and returns it."""

    async def main() -> None:
        async with connected(stack, "tests") as client:

            async def publish(body: bytes) -> Msg:
                return await publish_song(client, body)

            await use(SongQueue(client), publish)

    asyncio.run(main())


async def publish_song(client: Client, body: bytes) -> Msg:
    inbox = await client.subscribe(client.new_inbox())
    await client.jetstream().publish("minio.songs", body)
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.SONGS.separate", b"1", inbox.subject)
    return await inbox.next_msg(10)


def test_a_message_is_read_as_it_was_in_the_stream_of_songs(bus_stack: Stack) -> None:
    async def use(queue: SongQueue, publish: Callable[[bytes], Awaitable[Msg]]) -> None:
        assert await queue.put("a", await publish(b"one")) == (1, True)
        assert await queue.read("a", 0, 9) == [QueuedMessage(1, "minio.songs", b"one")]

    run(bus_stack, use)


def test_each_submitter_has_a_queue_in_the_order_of_arrival(bus_stack: Stack) -> None:
    async def use(queue: SongQueue, publish: Callable[[bytes], Awaitable[Msg]]) -> None:
        for submitter, body in (("a", b"1"), ("b", b"2"), ("a", b"3")):
            await queue.put(submitter, await publish(body))
        assert await queue.lengths() == {"a": 2, "b": 1}
        assert [message.body for message in await queue.read("a", 0, 9)] == [b"1", b"3"]
        assert [message.body for message in await queue.read("a", 1, 9)] == [b"3"]
        assert [message.body for message in await queue.read("a", 0, 1)] == [b"1"]

    run(bus_stack, use)


def test_a_message_that_is_put_again_is_there_once(bus_stack: Stack) -> None:
    async def use(queue: SongQueue, publish: Callable[[bytes], Awaitable[Msg]]) -> None:
        message = await publish(b"1")
        assert await queue.put("a", message) == (1, True)
        assert await queue.put("a", message) == (1, False)
        assert await queue.lengths() == {"a": 1}

    run(bus_stack, use)


def test_a_message_that_is_removed_is_gone(bus_stack: Stack) -> None:
    async def use(queue: SongQueue, publish: Callable[[bytes], Awaitable[Msg]]) -> None:
        await queue.put("a", await publish(b"1"))
        await queue.remove(1)
        await queue.remove(1)
        assert await queue.read("a", 0, 9) == []
        assert await queue.lengths() == {}

    run(bus_stack, use)


def test_messages_survive_the_death_of_the_bus(bus_stack: Stack) -> None:
    async def put(queue: SongQueue, publish: Callable[[bytes], Awaitable[Msg]]) -> None:
        await queue.put("a", await publish(b"1"))

    async def read(queue: SongQueue, _: Callable[[bytes], Awaitable[Msg]]) -> None:
        assert await queue.lengths() == {"a": 1}

    run(bus_stack, put)
    bus_stack.kill("nats")
    bus_stack.start("nats")
    run(bus_stack, read)


def test_a_bus_that_is_away_is_an_error(bus_stack: Stack) -> None:
    async def use(queue: SongQueue, _: Callable[[bytes], Awaitable[Msg]]) -> None:
        bus_stack.kill("nats")
        with pytest.raises(nats.errors.Error):
            await queue.lengths()

    run(bus_stack, use)


@pytest.mark.parametrize("submitter", ["", "dir/", "a b.c>*ü/"])
def test_every_submitter_has_a_name_that_a_subject_can_hold(submitter: str) -> None:
    assert len(queue_name(submitter)) == 32
    assert queue_name(submitter).isalnum()
