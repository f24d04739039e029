"""Tasks that drop a cancellation, as those that wait for nats-py do."""

import asyncio

import pytest

from minio_events.cancellation import cancel, run_all


async def stubborn(times: int) -> None:
    """Drop so many cancellations."""
    for _ in range(times):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()


async def begun(*tasks: asyncio.Task[None]) -> None:
    """Let the tasks begin."""
    for _ in tasks:
        await asyncio.sleep(0)


def test_a_task_that_drops_a_cancellation_ends() -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(stubborn(times)) for times in (0, 1, 2)]
        await begun(*tasks)
        await cancel(tasks)
        assert all(task.cancelled() for task in tasks)

    asyncio.run(main())


def test_a_cancellation_that_is_cancelled_still_ends_all_tasks() -> None:
    async def main() -> None:
        task = asyncio.create_task(stubborn(2))
        await begun(task)
        cancelling = asyncio.create_task(cancel([task]))
        await begun(cancelling)
        cancelling.cancel()
        await asyncio.wait([cancelling])
        assert task.cancelled()

    asyncio.run(main())


def test_the_error_of_one_work_is_raised_and_ends_the_others() -> None:
    ended = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run_all(wait(), fail()))
    assert ended == [True]
