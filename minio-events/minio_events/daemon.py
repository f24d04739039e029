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

_HEAR_S = 3.0  # longer than a consumer takes to hand back what is in work


async def serve(
    name: str, bus: BusSettings, work: Callable[[Client], Coroutine[None, None, None]]
) -> None:
    """Run `work` until it is cancelled by SIGTERM. Raises SystemExit with what to do."""
    client = await connect(bus, name)
    logs.start("minio-events", _Publisher(client))
    running = asyncio.create_task(work(client))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    stopping = asyncio.create_task(_stop(running, stop))
    log.info(f"{name} started")
    try:
        with suppress(asyncio.CancelledError):
            await running
    except* nats.errors.ConnectionClosedError:
        raise SystemExit("the bus ended the session for good: start again") from None
    finally:
        stopping.cancel()
    log.info(f"{name} stopped")
    await client.drain()


async def _stop(running: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Once `stop` is set, cancel `running` until it has heard.

    Once is not enough: asyncio.wait_for, by which nats-py waits for every answer, drops a
    cancellation that comes in the same moment as the answer (Python 3.11, bpo-37658), and so do
    nats-py's own flushes (2.16.0).
    """
    await stop.wait()
    while not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=_HEAR_S)


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

    def send(self, subject: str, data: bytes) -> None:
        if self._client.is_connected:
            task = asyncio.get_running_loop().create_task(self._client.publish(subject, data))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
