"""Run a program that serves until SIGTERM: its connection, its logs, its orderly end."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from microdemucs import logs
from microdemucs.settings import BusSettings
from minio_events.cancellation import cancel
from minio_events.connection import connect

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_CANCEL_AGAIN_S = 3.0  # longer than a consumer takes to nack its messages


async def serve(
    name: str, bus: BusSettings, work: Callable[[Client], Coroutine[None, None, None]]
) -> None:
    """Run `work` until SIGTERM cancels it. Raises SystemExit with what to do."""
    client = await connect(bus, name)
    logs.start("minio-events", _Publisher(client))
    running = asyncio.create_task(work(client))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    stopping = asyncio.create_task(_cancel_after(stop, running))
    log.info(f"{name} started")
    try:
        with suppress(asyncio.CancelledError):
            await running
    except* nats.errors.ConnectionClosedError:
        raise SystemExit(f"the bus has closed the connection: start {name} again") from None
    finally:
        stopping.cancel()
    log.info(f"{name} stopped")
    await client.drain()


async def wait_for_bucket(client: Client, name: str) -> KeyValue:
    """Return the key-value bucket, as soon as it has been provisioned.

    Raises nats.errors.ConnectionClosedError if the client will not connect again.
    """
    return await _wait_for(
        client,
        lambda: client.jetstream().key_value(name),
        lambda: log.warning("bucket missing on the bus", extra={"bucket": name}),
    )


async def wait_for_stream(client: Client, name: str) -> None:
    """Wait until the stream has been provisioned.

    Raises nats.errors.ConnectionClosedError if the client will not connect again.
    """
    await _wait_for(
        client,
        lambda: client.jetstream().stream_info(name),
        lambda: log.warning("stream missing on the bus", extra={"stream": name}),
    )


async def _wait_for(
    client: Client, find: Callable[[], Awaitable[_T]], log_missing: Callable[[], None]
) -> _T:
    is_logged = False
    while True:
        if client.is_closed:
            raise nats.errors.ConnectionClosedError
        try:
            return await find()
        except nats.js.errors.NotFoundError:
            if not is_logged:
                log_missing()
                is_logged = True
        except nats.errors.Error:
            pass  # the bus is away
        await asyncio.sleep(0.3)


async def _cancel_after(stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Once `stop` is set, cancel `running` until it ends."""
    await stop.wait()
    await cancel([running], again_s=_CANCEL_AGAIN_S)


class _Publisher:
    """Publishes log lines without waiting."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, subject: str, data: bytes) -> None:
        if self._client.is_connected:
            task = asyncio.get_running_loop().create_task(self._client.publish(subject, data))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
