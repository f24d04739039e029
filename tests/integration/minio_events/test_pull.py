"""A consumer's messages on a real server: as many at a time as there are places."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from nats.js.api import ConsumerConfig

from minio_events import pull
from minio_events.pull import PullConsumer
from tests.integration.minio_events.conftest import connected

ACK_WAIT_S = 30.0  # as provisioned: what comes sooner was handed back, not missed


class Hands:
    """Takes messages: `open` ones are acknowledged at once, others once they are told to be."""

    def __init__(self):
        self.took, self.now, self.most = [], 0, 0
        self.open = asyncio.Event()

    async def __call__(self, held):
        self.took.append((held.msg.data.decode(), held.tries))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
            await held.msg.ack()
        finally:
            self.now -= 1

    async def take(self, count):
        await true(lambda: len(self.took) >= count, f"{count} messages are taken: {self.took}")


async def true(told, what, seconds=25):
    async with asyncio.timeout(seconds):
        try:
            while True:
                found = told()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            raise AssertionError(f"not within {seconds} s: {what}") from None


@asynccontextmanager
async def pulling(client, hands, places):
    one = PullConsumer(client, "SONGS", "separate", places)
    task = asyncio.create_task(one.run(hands))
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def publish(client, *messages):
    for message in messages:
        await client.jetstream().publish("minio.songs", message.encode())


async def waiting(client):
    info = await client.jetstream().consumer_info("SONGS", "separate")
    return info.num_pending, info.num_ack_pending


async def rewrite(machine, ack_wait, *names):
    """The consumers, with an `ack_wait` of the test's own."""
    async with connected(machine, "provision") as root:
        for name in names:
            with suppress(Exception):
                await root.jetstream().delete_consumer("SONGS", name)
            config = ConsumerConfig(durable_name=name, ack_wait=ack_wait)
            await root.jetstream().add_consumer("SONGS", config)


def run(machine, main):
    async def whole():
        async with connected(machine, "events") as client:
            await main(client, Hands())

    asyncio.run(whole())


def test_no_more_messages_are_taken_than_there_are_places(bus):
    async def main(client, hands):
        await publish(client, *"abcde")
        async with pulling(client, hands, 2):
            await hands.take(2)
            assert await waiting(client) == (3, 2)
            hands.open.set()
            await hands.take(5)

            async def all_done():
                return await waiting(client) == (0, 0)

            await true(all_done, "all are acknowledged")
        assert [data for data, _ in hands.took] == list("abcde")
        assert hands.most == 2

    run(bus, main)


def test_what_waits_for_another_one_leaves_its_place(bus):
    async def main(client, hands):
        parked = asyncio.Event()

        async def handle(held):
            if held.msg.data == b"a":
                with one.parked():
                    await parked.wait()
            await hands(held)

        hands.open.set()
        await publish(client, *"abc")
        async with pulling(client, handle, 1) as one:
            await hands.take(2)
            assert [data for data, _ in hands.took] == ["b", "c"]
            parked.set()
            await hands.take(3)
            hands.open.clear()
            await publish(client, *"de")
            await hands.take(4)
            assert await waiting(client) == (1, 1)  # and it is one place again
            hands.open.set()

    run(bus, main)


def test_a_message_in_work_is_kept_past_the_ack_wait(bus, monkeypatch):
    monkeypatch.setattr(pull, "ACK_WAIT_S", 1.0)

    async def main(client, hands):
        # the intake consumer's reader says nothing: when it has been redelivered, time is up
        await rewrite(bus, 1.0, "separate", "intake")
        await publish(client, "a")
        async with pulling(client, hands, 1):
            await hands.take(1)
            silent = await client.jetstream().pull_subscribe_bind("intake", "SONGS")
            for delivery in (1, 2, 3):
                [message] = await silent.fetch(1, timeout=20)
                assert message.metadata.num_delivered == delivery
            info = await client.jetstream().consumer_info("SONGS", "separate")
            assert (info.num_ack_pending, info.num_redelivered) == (1, 0)
        assert hands.took == [("a", 1)]

    run(bus, main)


def test_a_message_that_comes_again_while_it_is_in_work_is_not_worked_on_twice(bus):
    async def main(client, hands):
        await rewrite(bus, 0.5, "separate")  # sooner than the first sign of life
        seen = []

        async def handle(held):
            seen.append(held)
            await hands(held)

        await publish(client, "a")
        async with pulling(client, handle, 2):
            await hands.take(1)
            await true(lambda: seen[0].msg.metadata.num_delivered > 1, "the delivery is adopted")
            hands.open.set()

            async def done():
                return await waiting(client) == (0, 0)

            await true(done, "the new delivery is acknowledged")
        assert hands.took == [("a", 1)]

    run(bus, main)


def test_a_handler_that_fails_has_its_message_again_and_holds_up_no_other(bus):
    async def main(client, hands):
        await rewrite(bus, 1.0, "separate")

        async def handle(held):
            if held.tries == 1 and held.msg.data == b"a":
                raise ZeroDivisionError
            await hands(held)

        hands.open.set()
        await publish(client, *"ab")
        async with pulling(client, handle, 1):
            await hands.take(2)
        assert hands.took == [("b", 1), ("a", 2)]

    run(bus, main)


def test_a_consumer_that_is_provisioned_later_is_found(bus):
    async def main(client, hands):
        async with connected(bus, "provision") as root:
            await root.jetstream().delete_consumer("SONGS", "separate")
        hands.open.set()
        async with pulling(client, hands, 1):
            await publish(client, "a")
            await rewrite(bus, 30, "separate")
            await hands.take(1)

    run(bus, main)


def test_a_consumer_that_is_made_anew_is_found(bus):
    async def main(client, hands):
        hands.open.set()
        async with pulling(client, hands, 1):
            await publish(client, "a")
            await hands.take(1)
            await rewrite(bus, 30, "separate")
            await hands.take(2)
        assert hands.took == [("a", 1)] * 2

    run(bus, main)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_ends_and_comes_back_goes_on(bus, end):
    async def main(client, hands):
        async with pulling(client, hands, 2):
            await publish(client, "a")
            await hands.take(1)
            await asyncio.to_thread(getattr(bus, end), "nats")
            await true(lambda: not client.is_connected, "the loss is noticed")
            bus.start("nats")
            await true(lambda: client.is_connected, "it is back")
            await publish(client, "b")
            await hands.take(2)
            hands.open.set()

            async def done():
                return await waiting(client) == (0, 0)

            await true(done, "both are acknowledged")
        assert hands.took == [("a", 1), ("b", 1)]

    run(bus, main)


def test_what_is_in_work_is_handed_back_at_once_when_told_to_stop(bus):
    async def main(client, hands):
        await publish(client, *"ab")
        async with pulling(client, hands, 5):  # more are asked for: they must not come back here
            await hands.take(2)
        assert hands.now == 0
        async with connected(bus, "events") as other:
            again = Hands()
            async with pulling(other, again, 5):
                await true(lambda: len(again.took) == 2, "both are here", ACK_WAIT_S / 3)
            assert sorted(again.took) == [("a", 2), ("b", 2)]

    run(bus, main)


def test_it_stops_at_once_while_the_bus_is_away(bus):
    async def main(client, hands):
        await publish(client, "a")
        async with pulling(client, hands, 2):
            await hands.take(1)
            await asyncio.to_thread(bus.kill, "nats")
            await true(lambda: not client.is_connected, "the loss is noticed")
            stopping = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping < 3

    run(bus, main)
