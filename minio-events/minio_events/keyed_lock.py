"""One lock per concurrency key: the events of one song wait for each other and for no others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager


class KeyedLock:
    """Locks by key. A lock exists only while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        """How many keys are locked."""
        return len(self._locks)

    @asynccontextmanager
    async def hold(
        self, key: str, waiting: Callable[[], AbstractContextManager[None]]
    ) -> AsyncIterator[None]:
        """Hold the lock of `key`; while somebody else holds it, wait inside `waiting()`."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = lock, users + 1
        try:
            if users:  # not lock.locked(): it is free for a moment before the next waiter wakes
                with waiting():
                    await lock.acquire()
            else:
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = lock, users - 1
