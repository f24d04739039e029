"""A lease on a real bus: one process at a time has it."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from minio_events import leadership
from minio_events.cancellation import cancel
from minio_events.leadership import Leadership, lead
from testing.stack import Stack
from tests.integration.minio_events.connections import connected

KEY = "songs"
RENEWALS = 7  # they last twice as long as it takes to take a lease over
Scenario = Callable[[Client, KeyValue], Coroutine[None, None, None]]


class Work:
    """Work that lasts until it is cancelled, and how often it has begun and ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.leadership = Leadership()

    async def __call__(self, leadership: Leadership) -> None:
        """Work."""
        self.leadership = leadership
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.begun > self.ended


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` is true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def exists(leases: KeyValue) -> bool:
    """Whether somebody has the lease."""
    try:
        await leases.get(KEY)
    except KeyNotFoundError:
        return False
    return True


def run(stack: Stack, scenario: Scenario) -> None:
    """Call `scenario` with a connection and the bucket of leases."""

    async def main() -> None:
        async with connected(stack, "bridge") as client:
            await scenario(client, await client.jetstream().key_value("leases"))

    asyncio.run(main())


def test_one_leads_until_it_ends_and_then_the_other_at_once(bus_stack: Stack) -> None:
    async def scenario(client: Client, leases: KeyValue) -> None:
        works = Work(), Work()
        first = asyncio.create_task(lead(client, leases, KEY, works[0]))
        await until(lambda: works[0].is_running)
        second = asyncio.create_task(lead(client, leases, KEY, works[1]))
        await cancel([first])
        await until(lambda: works[1].is_running)
        assert not works[0].is_running
        await cancel([second])
        assert not works[1].is_running

    run(bus_stack, scenario)


def test_the_lease_of_one_that_renews_it_is_respected(bus_stack: Stack) -> None:
    async def scenario(client: Client, leases: KeyValue) -> None:
        works = Work(), Work()
        tasks = [asyncio.create_task(lead(client, leases, KEY, works[0]))]
        await until(lambda: works[0].is_running)
        tasks.append(asyncio.create_task(lead(client, leases, KEY, works[1])))
        renewed = (await leases.get(KEY)).revision or 0
        while renewed < RENEWALS:
            await asyncio.sleep(0.1)
            renewed = (await leases.get(KEY)).revision or 0
        assert (works[0].is_running, works[1].begun) == (True, 0)
        assert works[0].leadership.is_certain
        await cancel(tasks)

    run(bus_stack, scenario)


def test_a_lease_that_nobody_renews_is_taken_over(bus_stack: Stack) -> None:
    async def scenario(client: Client, leases: KeyValue) -> None:
        revision = await leases.create(KEY, b"killed")
        work = Work()
        leading = asyncio.create_task(lead(client, leases, KEY, work))
        await until(lambda: work.is_running)
        # It was replaced: a lease that the bucket had removed would have been created.
        entry = await leases.get(KEY)
        assert (entry.value != b"killed", entry.revision) == (True, revision + 1)
        await cancel([leading])

    run(bus_stack, scenario)


def test_work_ends_when_another_has_the_lease_which_it_keeps(bus_stack: Stack) -> None:
    async def scenario(client: Client, leases: KeyValue) -> None:
        work = Work()
        leading = asyncio.create_task(lead(client, leases, KEY, work))
        await until(lambda: work.is_running)
        entry = await leases.get(KEY)
        await leases.update(KEY, b"another", last=entry.revision)
        await until(lambda: not work.is_running)
        assert (await leases.get(KEY)).value == b"another"
        await cancel([leading])
        assert (await leases.get(KEY)).value == b"another"

    run(bus_stack, scenario)


def test_work_goes_on_while_the_bus_is_away_but_is_not_certain_to_lead(bus_stack: Stack) -> None:
    async def scenario(client: Client, leases: KeyValue) -> None:
        work = Work()
        leading = asyncio.create_task(lead(client, leases, KEY, work))
        await until(lambda: work.leadership.is_certain)
        bus_stack.kill("nats")
        await until(lambda: not work.leadership.is_certain)
        bus_stack.start("nats")
        await until(lambda: work.leadership.is_certain)
        assert (work.begun, work.ended) == (1, 0)
        await cancel([leading])

    run(bus_stack, scenario)


def test_work_goes_on_if_the_bucket_has_removed_the_lease(bus_stack: Stack) -> None:
    async def scenario(client: Client, leases: KeyValue) -> None:
        work = Work()
        leading = asyncio.create_task(lead(client, leases, KEY, work))
        await until(lambda: work.is_running)
        await leases.delete(KEY)
        async with asyncio.timeout(60):
            while not await exists(leases):
                await asyncio.sleep(0.05)
        assert (work.begun, work.ended) == (1, 0)
        await cancel([leading])

    run(bus_stack, scenario)


def test_an_error_of_the_work_is_raised_and_frees_the_lease(bus_stack: Stack) -> None:
    async def work(_: Leadership) -> None:
        raise ZeroDivisionError

    async def scenario(client: Client, leases: KeyValue) -> None:
        with pytest.raises(ZeroDivisionError):
            await lead(client, leases, KEY, work)
        assert await leases.create(KEY, b"another")

    run(bus_stack, scenario)


def test_nobody_takes_a_lease_over_before_its_owner_stops_being_certain() -> None:
    assert leadership.CERTAIN_S < leadership.EXPIRES_S
