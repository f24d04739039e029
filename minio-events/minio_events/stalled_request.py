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
_LOOK_S = 5.0


async def answer_or_stall(
    answer: Coroutine[Any, Any, Verdict],
    leases: KeyValue,
    key: str,
    *,
    gone_s: float = GONE_S,
    look_s: float = _LOOK_S,
) -> Verdict:
    """Return the answer of a request; Retry if the lease at `key` has been taken and then lost.

    A request whose lease has not been seen may wait for a process that is being started. While the
    bus is away, leases cannot be seen, and nothing is let go.
    """
    loop = asyncio.get_running_loop()
    request = asyncio.create_task(answer)
    last_seen: float | None = None
    try:
        while not request.done():
            await asyncio.wait({request}, timeout=look_s)
            if await _is_held(leases, key):
                last_seen = loop.time()
            elif last_seen is not None and loop.time() - last_seen > gone_s:
                break
        return request.result() if request.done() else Retry("the process stands still")
    finally:
        request.cancel()


async def _is_held(leases: KeyValue, key: str) -> bool:
    """Whether somebody has the lease, or nobody can tell."""
    try:
        await leases.get(key)
    except KeyNotFoundError:
        return False
    except nats.errors.Error:
        return True
    return True
