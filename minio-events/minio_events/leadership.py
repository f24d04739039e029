"""One process at a time does a piece of work: the one that has the lease.

The lease is a key of the bucket `leases`, which removes what is not renewed for 15 s.
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

_EXPIRES_S, _RENEW_S, _RETRY_S = 15.0, 4.0, 1.0


async def lead(
    client: Client, leases: KeyValue, key: str, work: Callable[[], Coroutine[None, None, None]]
) -> None:
    """Run `work` whenever this process has the lease `key`; cancel it when the lease is lost.

    Runs until cancelled, and then releases the lease. Raises what `work` raises, and
    nats.errors.ConnectionClosedError if the client will not connect again.
    """
    owner = secrets.token_hex(8).encode()
    while True:
        revision = await _acquire(client, leases, key, owner)
        log.info("lease acquired", extra={"lease": key})
        working = asyncio.create_task(work())
        try:
            await _renew(client, leases, key, owner, revision, working)
            log.warning("lease lost", extra={"lease": key})
        finally:
            await cancel([working])
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    entry = await leases.get(key)
                    if entry.value == owner:
                        await leases.delete(key, last=entry.revision)


async def _acquire(client: Client, leases: KeyValue, key: str, owner: bytes) -> int:
    while True:
        if client.is_closed:
            raise nats.errors.ConnectionClosedError
        try:
            return await leases.create(key, owner)
        except (nats.errors.Error, OSError):  # another process has it, or the bus is away
            await asyncio.sleep(_RETRY_S)


async def _renew(
    client: Client,
    leases: KeyValue,
    key: str,
    owner: bytes,
    revision: int,
    working: asyncio.Task[None],
) -> None:
    """Return when the lease is lost; raise what `working` raises."""
    renewed = time.monotonic()
    while time.monotonic() - renewed < _EXPIRES_S:
        if client.is_closed:
            raise nats.errors.ConnectionClosedError
        await asyncio.wait({working}, timeout=_RENEW_S)
        if working.done():
            working.result()
            return
        sent = time.monotonic()
        try:
            revision = await leases.update(key, owner, last=revision)
            renewed = sent
        except nats.js.errors.KeyWrongLastSequenceError:
            return
        except (nats.errors.Error, OSError):  # the bus is away: try again until the lease is over
            continue
