"""Let go of a request to a process that stands still.

While a process works on a song or a range, it renews a lease every few seconds. If that lease has
been gone for long, the process was stopped or its machine is frozen: it may never answer, and
nothing that it still does counts. The request's slot is free for another one then.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import nats.errors
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from minio_events.forward import Retry, Verdict

GONE_S = 45.0
"""Three times as long as a lease lasts that nobody renews."""
START_S = 600.0
"""As long as Knative waits for a process to start, at most."""
_LOOK_S = 5.0


async def answer_or_stall(
    answer: Coroutine[Any, Any, Verdict],
    leases: KeyValue,
    key: str,
    *,
    gone_s: float = GONE_S,
    start_s: float = START_S,
    look_s: float = _LOOK_S,
) -> Verdict:
    """Return the answer of a request; Retry if the lease at `key` has been taken and then lost.

    A request whose lease has not been seen may wait for a process that is being started, or for one
    that stands still: it is let go after `start_s`. While the bus is away, leases cannot be seen,
    and nothing is let go.
    """
    # Most answers come before the first look at the lease: they need no task.
    looking: asyncio.Task[None] | None = None
    limit = asyncio.timeout(None)

    def look() -> None:
        nonlocal looking
        looking = asyncio.create_task(_end_when_gone(limit, leases, key, gone_s, start_s, look_s))

    timer = asyncio.get_running_loop().call_later(look_s, look)
    try:
        async with limit:
            return await answer
    except TimeoutError:
        return Retry("the process stands still")
    finally:
        timer.cancel()
        if looking:
            looking.cancel()


async def _end_when_gone(
    limit: asyncio.Timeout,
    leases: KeyValue,
    key: str,
    gone_s: float,
    start_s: float,
    look_s: float,
) -> None:
    """End the time limit of a request when its lease has been gone for too long."""
    loop = asyncio.get_running_loop()
    last_seen, patience = loop.time(), start_s
    while True:
        if await _is_held(leases, key):
            last_seen, patience = loop.time(), gone_s
        elif loop.time() - last_seen > patience:
            limit.reschedule(loop.time())
            return
        await asyncio.sleep(look_s)


async def _is_held(leases: KeyValue, key: str) -> bool:
    """Whether somebody has the lease, or nobody can tell."""
    try:
        await leases.get(key)
    except KeyNotFoundError:
        return False
    except nats.errors.Error:
        return True
    return True
