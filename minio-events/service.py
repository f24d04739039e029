"""A program that serves until SIGTERM: its connection, its log lines, its end in good order."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from microdemucs import logs
from microdemucs.settings import BusSettings
from minio_events.connection import connect

log = logging.getLogger(__name__)


async def serve(name: str, work: Callable[[Client], Coroutine[None, None, None]]) -> None:
    """Run `work` until it is cancelled by SIGTERM. Raises SystemExit with what to do."""
    client = await connect(BusSettings(), name)
    logs.start("minio-events", _Publisher(client))
    running = asyncio.create_task(work(client))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    log.info(f"{name} started")
    try:
        with suppress(asyncio.CancelledError):
            await running
    except* nats.errors.ConnectionClosedError:
        raise SystemExit("the bus ended the session for good: start again") from None
    log.info(f"{name} stopped")
    await client.drain()


async def bucket(client: Client, name: str) -> KeyValue:
    """The key-value bucket, waited for until it has been provisioned.

    Raises nats.errors.ConnectionClosedError where the client will not connect again.
    """
    while True:
        if client.is_closed:
            raise nats.errors.ConnectionClosedError
        try:
            return await client.jetstream().key_value(name)
        except (nats.js.errors.NotFoundError, nats.errors.Error):
            await asyncio.sleep(0.3)


class _Publisher:
    """Log lines on the bus, sent without waiting."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sending: set[asyncio.Task[None]] = set()

    def tell(self, subject: str, data: bytes) -> None:
        if self._client.is_connected:
            task = asyncio.get_running_loop().create_task(self._client.publish(subject, data))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
