"""PullConsumer a durable consumer's messages, as many at a time as there are free places.

nats-py's own `fetch` gives batches: it either waits for a full one or asks twice a message. Here
one request is open at a time, its size the number of free places (NATS ADR-37, pull consumers).
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from minio_events.bus_setup import ACK_WAIT_S

log = logging.getLogger(__name__)

_EXPIRES_S, _HEARTBEAT_S, _HAND_BACK_S = 30, 5, 2
_OVER = "408"  # the request's time is up


@dataclass(slots=True)
class InFlight:
    """A message in work; `msg` is its newest delivery, the one that can be acknowledged."""

    msg: Msg
    tries: int
    """How often it has been delivered, this time included."""


class PullConsumer:
    """The messages of one consumer, each handed to `handle` in a task of its own."""

    def __init__(self, client: Client, stream: str, consumer: str, places: int) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._places = places
        self._held: dict[int, InFlight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    @contextmanager
    def parked(self) -> Iterator[None]:
        """Inside, the message only waits for another one: its place is free meanwhile."""
        self._places += 1
        self._freed.set()
        try:
            yield
        finally:
            self._places -= 1

    async def run(self, handle: Callable[[InFlight], Awaitable[None]]) -> None:
        """Go on until cancelled; then hand back what is still in work.

        Raises nats.errors.ConnectionClosedError where the client will not connect again.
        """
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = await self._client.subscribe(self._client.new_inbox(), cb=arrived.put)
        saying = asyncio.create_task(self._say_in_progress())
        try:
            while True:
                while (free := self._places - len(self._held)) <= 0:
                    self._freed.clear()
                    await self._freed.wait()
                if self._client.is_closed:  # nats-py gives up where the server ends a session
                    raise nats.errors.ConnectionClosedError
                if not self._client.is_connected:
                    await asyncio.sleep(0.2)
                    continue
                await self._ask(inbox.subject, free)
                await self._take(arrived, free, handle)
        finally:
            saying.cancel()
            await self._hand_back(inbox, arrived)

    async def _ask(self, inbox: str, free: int) -> None:
        wanted = {
            "batch": free,
            "expires": _EXPIRES_S * 1_000_000_000,
            "idle_heartbeat": _HEARTBEAT_S * 1_000_000_000,
        }
        await self._client.publish(self._next, json.dumps(wanted).encode(), inbox)

    async def _take(
        self,
        arrived: asyncio.Queue[Msg],
        free: int,
        handle: Callable[[InFlight], Awaitable[None]],
    ) -> None:
        """Take up to `free` messages; return when the request is over or answers no more."""
        connection, silent = self._client.stats["reconnects"], 0
        while free:
            try:
                async with asyncio.timeout(1):
                    msg = await arrived.get()
            except TimeoutError:
                silent += 1
                is_same = self._client.stats["reconnects"] == connection
                if silent < 2 * _HEARTBEAT_S and is_same and not self._client.is_closed:
                    continue
                return  # the request went with its server, so ask again
            silent = 0
            status = JetStreamContext.is_status_msg(msg)
            if status == "100":  # a heartbeat
                continue
            if status:
                if status != _OVER:  # no such consumer, JetStream is not up yet, or it refuses
                    await asyncio.sleep(0.2)
                return
            free -= 1
            self._start(msg, handle)

    def _start(self, msg: Msg, handle: Callable[[InFlight], Awaitable[None]]) -> None:
        number = msg.metadata.sequence.stream
        if number in self._held:  # the server lost sight of us: the same message again
            self._held[number].msg = msg
            return
        held = self._held[number] = InFlight(msg, msg.metadata.num_delivered)

        async def work() -> None:
            try:
                await handle(held)
            except Exception:
                log.exception("handler crashed")
            finally:
                del self._held[number]
                self._freed.set()

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_in_progress(self) -> None:
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            for held in list(self._held.values()):
                try:
                    await held.msg.in_progress()
                except nats.errors.Error:
                    break  # away; the server redelivers, and _start takes the new delivery

    async def _hand_back(self, inbox: Subscription, arrived: asyncio.Queue[Msg]) -> None:
        held = list(self._held.values())
        for task in list(self._tasks):
            task.cancel()
        if not self._client.is_connected:
            return  # it all comes again once the wait for its acknowledgement is over
        with suppress(nats.errors.Error, TimeoutError):
            # Before anything is handed back: the open request would bring it here again.
            async with asyncio.timeout(_HAND_BACK_S):
                await inbox.drain()  # type: ignore[no-untyped-call]
                unstarted = [arrived.get_nowait() for _ in range(arrived.qsize())]
                for msg in [*(one.msg for one in held), *unstarted]:
                    if not JetStreamContext.is_status_msg(msg) and not msg.is_acked:
                        await msg.nak()
                await self._client.flush()
