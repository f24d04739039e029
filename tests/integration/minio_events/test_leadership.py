"""A lease on a real bus: one process at a time has it."""

import asyncio
from collections.abc import Callable

import pytest

from minio_events.cancellation import cancel
from minio_events.leadership import lead
from testing.stack import Stack
from tests.integration.minio_events.connections import connected


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` is true."""
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.02)


def test_one_leads_until_it_ends_and_then_the_other_at_once(bus_stack: Stack) -> None:
    leading: list[str] = []

    async def work(name: str) -> None:
        leading.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            leading.remove(name)

    async def main() -> None:
        async with connected(bus_stack, "events") as client:
            leases = await client.jetstream().key_value("leases")
            first = asyncio.create_task(lead(client, leases, "deliveries", lambda: work("first")))
            await until(lambda: leading == ["first"])
            second = asyncio.create_task(lead(client, leases, "deliveries", lambda: work("second")))
            await cancel([first])
            await until(lambda: leading == ["second"])
            await cancel([first, second])
            assert leading == []

    asyncio.run(main())


def test_the_lease_of_another_is_respected_and_a_lost_one_ends_the_work(bus_stack: Stack) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def main() -> None:
        async with connected(bus_stack, "events") as client:
            leases = await client.jetstream().key_value("leases")
            leading = asyncio.create_task(lead(client, leases, "deliveries", work))
            await until(begun.is_set)
            entry = await leases.get("deliveries")
            await leases.update("deliveries", b"another", last=entry.revision)
            async with asyncio.timeout(30):
                await ended.wait()
            assert (await leases.get("deliveries")).value == b"another"
            await cancel([leading])
            assert (await leases.get("deliveries")).value == b"another"

    asyncio.run(main())


def test_an_error_of_the_work_is_raised_and_frees_the_lease(bus_stack: Stack) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with connected(bus_stack, "events") as client:
            leases = await client.jetstream().key_value("leases")
            with pytest.raises(ZeroDivisionError):
                await lead(client, leases, "deliveries", work)
            assert await leases.create("deliveries", b"another")

    asyncio.run(main())
