"""One lock per key."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import pytest

from minio_events.keyed_lock import KeyedLock


class Visits:
    """Tasks that each hold a key until `leave[name]` is set. `entered` lists them in order."""

    def __init__(self) -> None:
        self.lock = KeyedLock()
        self.entered: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}
        self.waiting = 0
        """How many wait for a key."""

    @contextlib.contextmanager
    def count_waiting(self) -> Iterator[None]:
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def start(self, name: str, key: str) -> asyncio.Task[None]:
        self.leave[name] = asyncio.Event()

        async def visit() -> None:
            async with self.lock.hold(key, self.count_waiting):
                self.entered.append(name)
                await self.leave[name].wait()

        return asyncio.create_task(visit())


async def run_other_tasks() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(test: Callable[[Visits], Awaitable[None]]) -> None:
    """Run `test`; afterwards no lock may be left."""

    async def main() -> None:
        visits = Visits()
        async with asyncio.timeout(10):
            await test(visits)
        assert len(visits.lock) == 0, "unused locks are dropped"

    asyncio.run(main())


def test_one_task_holds_a_key_and_the_others_wait_in_order() -> None:
    async def test(visits: Visits) -> None:
        tasks = [visits.start(name, "key") for name in "abc"]
        await run_other_tasks()
        assert (visits.entered, visits.waiting) == (["a"], 2)
        visits.leave["a"].set()
        await run_other_tasks()
        assert (visits.entered, visits.waiting) == (["a", "b"], 1)
        visits.leave["b"].set()
        visits.leave["c"].set()
        await asyncio.gather(*tasks)
        assert (visits.entered, visits.waiting) == (["a", "b", "c"], 0)

    run(test)


def test_other_keys_do_not_wait() -> None:
    async def test(visits: Visits) -> None:
        tasks = [visits.start(name, name) for name in "ab"]
        await run_other_tasks()
        assert (visits.entered, visits.waiting) == (["a", "b"], 0)
        for leave in visits.leave.values():
            leave.set()
        await asyncio.gather(*tasks)

    run(test)


def test_a_task_that_arrives_while_the_next_one_wakes_waits_too() -> None:
    async def test(visits: Visits) -> None:
        async def hold_twice() -> None:
            async with visits.lock.hold("key", visits.count_waiting):
                await run_other_tasks()
            async with visits.lock.hold("key", visits.count_waiting):
                visits.entered.append("second time")

        task = asyncio.create_task(hold_twice())
        await asyncio.sleep(0)
        other = visits.start("other", "key")
        while visits.entered != ["other"]:
            await asyncio.sleep(0)
        await run_other_tasks()
        assert visits.waiting == 1
        visits.leave["other"].set()
        await asyncio.gather(task, other)
        assert visits.entered == ["other", "second time"]

    run(test)


@pytest.mark.parametrize("cancelled", ["a", "b"], ids=["holder", "waiter"])
def test_a_cancelled_task_lets_the_next_one_in(cancelled: str) -> None:
    async def test(visits: Visits) -> None:
        tasks = {name: visits.start(name, "key") for name in "abc"}
        await run_other_tasks()
        tasks[cancelled].cancel()
        visits.leave["a"].set()
        visits.leave["b"].set()
        await run_other_tasks()
        assert visits.entered[-1] == "c"
        assert visits.waiting == 0
        visits.leave["c"].set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    run(test)


def test_a_task_that_fails_lets_the_next_one_in() -> None:
    async def test(visits: Visits) -> None:
        with pytest.raises(ZeroDivisionError):
            async with visits.lock.hold("key", visits.count_waiting):
                raise ZeroDivisionError
        task = visits.start("a", "key")
        visits.leave["a"].set()
        await task
        assert visits.entered == ["a"]

    run(test)
