"""End tasks for certain.

One `cancel` is not enough: asyncio.wait_for, with which nats-py waits for every response, drops a
cancellation that comes in the same moment as the response (Python 3.11, bpo-37658), and so do
nats-py's own flushes (2.16.0). And a TaskGroup cancels its tasks only once.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

_CANCEL_AGAIN_S = 0.5


async def run_all(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one of them ends or fails, or this is cancelled; then cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel(tasks)


async def cancel(tasks: Iterable[asyncio.Task[None]], again_s: float = _CANCEL_AGAIN_S) -> None:
    """Cancel tasks every `again_s` until they have ended, also if this is cancelled meanwhile."""
    pending = set(tasks)
    while pending := {task for task in pending if not task.done()}:
        for task in pending:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait(pending, timeout=again_s)
