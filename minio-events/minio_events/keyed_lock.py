"""One at a time by name: the events of one song wait for each other, and for nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager


class KeyedLock:
    """Locks by name, which exist only while somebody holds or waits for them."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(
        self, name: str, waiting: Callable[[], AbstractContextManager[None]]
    ) -> AsyncIterator[None]:
        """Hold `name`; if another one does, wait inside `waiting()` until it is free."""
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            if users:  # not lock.locked(): it is free for a moment before the next one wakes
                with waiting():
                    await lock.acquire()
            else:
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, users - 1
