"""Wait for a condition on an event loop."""

import asyncio
from collections.abc import Awaitable, Callable

_INTERVAL_S = 0.01


async def wait_for(
    condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 25
) -> None:
    """Wait until `condition` is true. Raises AssertionError after `seconds`."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        value = condition()
        if value if isinstance(value, bool) else await value:
            return
        assert asyncio.get_running_loop().time() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(_INTERVAL_S)
