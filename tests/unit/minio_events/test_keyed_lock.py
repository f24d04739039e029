"""One at a time by name."""

import asyncio
import contextlib

import pytest

from minio_events.keyed_lock import KeyedLock


class Room:
    """What `waiting` opens: counts who is inside."""

    def __init__(self):
        self.inside = 0

    @contextlib.contextmanager
    def waiting(self):
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


def run(main):
    """Run `main(turns, room, visit)`; `visit(who, name)` is a task that holds `name`."""

    async def whole():
        turns, room, log, leave = KeyedLock(), Room(), [], {}

        def visit(who, name):
            leave[who] = asyncio.Event()

            async def stay():
                async with turns.of(name, room.waiting):
                    log.append(who)
                    await leave[who].wait()

            return asyncio.create_task(stay())

        async with asyncio.timeout(10):
            await main(turns, room, log, leave, visit)
        assert turns._locks == {}, "a name that nobody wants any more is forgotten"

    asyncio.run(whole())


def test_a_name_is_held_by_one_and_others_wait_in_their_order():
    async def main(_, room, log, leave, visit):
        tasks = [visit(who, "a") for who in (1, 2, 3)]
        await settled()
        assert (log, room.inside) == ([1], 2)
        leave[1].set()
        await settled()
        assert (log, room.inside) == ([1, 2], 1)
        leave[2].set()
        leave[3].set()
        await asyncio.gather(*tasks)
        assert (log, room.inside) == ([1, 2, 3], 0)

    run(main)


def test_other_names_do_not_wait():
    async def main(_, room, log, leave, visit):
        tasks = [visit(who, who) for who in ("a", "b")]
        await settled()
        assert (log, room.inside) == (["a", "b"], 0)
        for event in leave.values():
            event.set()
        await asyncio.gather(*tasks)

    run(main)


def test_who_comes_while_the_next_one_is_being_woken_waits_too():
    async def main(turns, room, log, leave, visit):
        async def twice():
            async with turns.of("a", room.waiting):
                await settled()
            async with turns.of("a", room.waiting):
                log.append("again")

        task = asyncio.create_task(twice())
        await asyncio.sleep(0)
        other = visit("other", "a")
        while log != ["other"]:
            await asyncio.sleep(0)
        await settled()
        assert room.inside == 1
        leave["other"].set()
        await asyncio.gather(task, other)
        assert log == ["other", "again"]

    run(main)


@pytest.mark.parametrize("cancelled", [1, 2], ids=["holder", "waiter"])
def test_a_cancelled_one_makes_room(cancelled):
    async def main(_, room, log, leave, visit):
        tasks = {who: visit(who, "a") for who in (1, 2, 3)}
        await settled()
        tasks[cancelled].cancel()
        leave[1].set()
        leave[2].set()
        await settled()
        assert log[-1] == 3
        assert room.inside == 0
        leave[3].set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    run(main)


def test_who_fails_makes_room():
    async def main(turns, room, log, leave, visit):
        with pytest.raises(ZeroDivisionError):
            async with turns.of("a", room.waiting):
                raise ZeroDivisionError
        task = visit(1, "a")
        leave[1].set()
        await task
        assert log == [1]

    run(main)
