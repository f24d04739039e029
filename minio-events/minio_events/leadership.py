"""One process at a time does a piece of work: the one that has the lease.

The lease is a key of the bucket `leases`. Its owner renews it every 2 s. A process that has seen
the same revision of it for 6 s takes it over: that compares no clocks of different machines. The
bucket removes a lease that nobody renews for 15 s.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from minio_events.cancellation import cancel

log = logging.getLogger(__name__)

_RENEW_S, CERTAIN_S, EXPIRES_S = 2.0, 5.0, 6.0
_RETRY_S = 1.0
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts while the machine sleeps


class Leadership:
    """What this process knows of its lease."""

    def __init__(self) -> None:
        self._renewed = float("-inf")

    @property
    def is_certain(self) -> bool:
        """Whether no other process can have taken the lease. It is not while the bus is away."""
        return _now() - self._renewed < CERTAIN_S

    def renewed(self, sent: float) -> None:
        """Note that a renewal succeeded that was `sent` at this time."""
        self._renewed = sent


async def lead(
    client: Client,
    leases: KeyValue,
    key: str,
    work: Callable[[Leadership], Coroutine[None, None, None]],
) -> None:
    """Run `work` whenever this process has the lease `key`; cancel it when another one has it.

    Runs until cancelled, and then releases the lease. Raises what `work` raises, and
    nats.errors.ConnectionClosedError if the client will not connect again.
    """
    lease = _Lease(client, leases, key)
    while True:
        await lease.acquire()
        log.info("lease acquired", extra={"lease": key})
        working = asyncio.create_task(work(lease.leadership))
        try:
            await lease.keep(working)
            log.warning("lease lost", extra={"lease": key})
        finally:
            await cancel([working])
            releasing = asyncio.create_task(lease.release())
            while not releasing.done():  # also if this is cancelled again: others wait for it
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({releasing})


class _Lease:
    """The lease `key`, as one process takes and renews it."""

    def __init__(self, client: Client, leases: KeyValue, key: str) -> None:
        self.leadership = Leadership()
        self._client = client
        self._leases = leases
        self._key = key
        self._owner = secrets.token_hex(8).encode()
        self._revision = 0

    async def acquire(self) -> None:
        """Wait until this process has the lease."""
        seen: object = None  # the lease of another owner
        since = _now()  # when it was first seen
        while True:
            self._raise_if_closed()
            sent = _now()
            try:
                entry = await self._read()
                # After a reconnect its owner has time to reconnect, too.
                now_seen = entry and (entry.revision, self._client.stats["reconnects"])
                if now_seen != seen:
                    seen, since = now_seen, sent
                if not entry or entry.value == self._owner or sent - since > EXPIRES_S:
                    await self._write(entry)
                    self.leadership.renewed(sent)
                    return
            except (nats.errors.Error, OSError):  # another process was faster, or the bus is away
                seen = None
            await asyncio.sleep(_RETRY_S)

    async def keep(self, working: asyncio.Task[None]) -> None:
        """Renew the lease until another process has it; raise what `working` raises.

        While the bus is away, nobody else can take it from there.
        """
        while True:
            await asyncio.wait({working}, timeout=_RENEW_S)
            if working.done():
                return working.result()
            self._raise_if_closed()
            sent = _now()
            try:
                if not await self._renew():
                    return None
                self.leadership.renewed(sent)
            except (nats.errors.Error, OSError):
                continue

    async def release(self) -> None:
        """Let another process take the lease at once."""
        with suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(2):
                entry = await self._leases.get(self._key)
                if entry.value == self._owner:
                    await self._leases.delete(self._key, last=entry.revision)

    async def _renew(self) -> bool:
        """Return whether this process still has the lease."""
        with suppress(nats.js.errors.KeyWrongLastSequenceError):
            self._revision = await self._leases.update(self._key, self._owner, last=self._revision)
            return True
        entry = await self._read()
        if entry and entry.value != self._owner:
            return False
        # It expired while the bus was away, or the answer to an earlier renewal was lost.
        with suppress(nats.js.errors.KeyWrongLastSequenceError):
            await self._write(entry)
            return True
        return False

    async def _read(self) -> KeyValue.Entry | None:
        with suppress(nats.js.errors.KeyNotFoundError):
            return await self._leases.get(self._key)
        return None

    async def _write(self, replaced: KeyValue.Entry | None) -> None:
        """Write the lease. Raises KeyWrongLastSequenceError if somebody was faster."""
        if replaced:
            self._revision = await self._leases.update(
                self._key, self._owner, last=replaced.revision
            )
        else:
            self._revision = await self._leases.create(self._key, self._owner)

    def _raise_if_closed(self) -> None:
        if self._client.is_closed:
            raise nats.errors.ConnectionClosedError


def _now() -> float:
    return time.clock_gettime(_CLOCK)
