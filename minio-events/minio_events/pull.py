"""Pull a durable consumer's messages, as many at a time as there are free slots.

nats-py's own `fetch` works in batches: it waits for a full batch, or sends two requests for each
message. Here one request is open at a time, and its size is the number of free slots (NATS ADR-37,
pull consumers).
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

_EXPIRES_S, _HEARTBEAT_S, _NACK_S = 30, 5, 2
_HEARTBEAT, _REQUEST_EXPIRED = "100", "408"


@dataclass(slots=True)
class InFlight:
    """A message in work. `msg` is its newest delivery: the one that can be acknowledged.

    `tries` counts the deliveries so far, the first included.
    """

    msg: Msg
    tries: int

    @property
    def number(self) -> int:
        """The message's sequence number in its stream: the same for all its deliveries."""
        return self.msg.metadata.sequence.stream


Handler = Callable[[InFlight], Awaitable[None]]


class PullConsumer:
    """The messages of one durable consumer; at most `concurrency` are in flight."""

    def __init__(self, client: Client, stream: str, consumer: str, concurrency: int) -> None:
        self._client = client
        self._request_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._concurrency = concurrency
        self._in_flight: dict[int, InFlight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slot_freed = asyncio.Event()

    @contextmanager
    def release_slot(self) -> Iterator[None]:
        """Give the message's slot to another message while this one only waits."""
        self._concurrency += 1
        self._slot_freed.set()
        try:
            yield
        finally:
            self._concurrency -= 1

    async def run(self, handle: Handler) -> None:
        """Call `handle` for each message, in a task of its own, until cancelled.

        Then nack all messages in flight. Raises nats.errors.ConnectionClosedError if the client
        will not connect again.
        """
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = await self._client.subscribe(self._client.new_inbox(), cb=arrived.put)
        heartbeat = asyncio.create_task(self._extend_ack_waits())
        try:
            while True:
                while (free := self._concurrency - len(self._in_flight)) <= 0:
                    self._slot_freed.clear()
                    await self._slot_freed.wait()
                if self._client.is_closed:  # nats-py gives up if the server ends the session
                    raise nats.errors.ConnectionClosedError
                if not self._client.is_connected:
                    await asyncio.sleep(0.2)
                    continue
                await self._request(inbox.subject, free)
                await self._receive(arrived, free, handle)
        finally:
            heartbeat.cancel()
            await self._nack_all(inbox, arrived)

    async def _request(self, inbox: str, free: int) -> None:
        request = {
            "batch": free,
            "expires": _EXPIRES_S * 1_000_000_000,
            "idle_heartbeat": _HEARTBEAT_S * 1_000_000_000,
        }
        await self._client.publish(self._request_subject, json.dumps(request).encode(), inbox)

    async def _receive(self, arrived: asyncio.Queue[Msg], free: int, handle: Handler) -> None:
        """Start up to `free` messages; return when the request has ended."""
        reconnects, silent_seconds = self._client.stats["reconnects"], 0
        while free:
            try:
                msg = await _next_of(arrived)
            except TimeoutError:
                silent_seconds += 1
                is_same = self._client.stats["reconnects"] == reconnects
                if silent_seconds < 2 * _HEARTBEAT_S and is_same and not self._client.is_closed:
                    continue
                return  # the server that knew the request is gone
            silent_seconds = 0
            status = JetStreamContext.is_status_msg(msg)
            if status == _HEARTBEAT:
                continue
            if status:
                if status != _REQUEST_EXPIRED:  # no consumer or JetStream yet, or a refusal
                    await asyncio.sleep(0.2)
                return
            free -= 1
            self._start(msg, handle)

    def _start(self, msg: Msg, handle: Handler) -> None:
        number = msg.metadata.sequence.stream
        if number in self._in_flight:  # redelivered, although it is still in work here
            self._in_flight[number].msg = msg
            return
        message = self._in_flight[number] = InFlight(msg, msg.metadata.num_delivered)

        async def work() -> None:
            try:
                await handle(message)
            except Exception:
                log.exception("message handler crashed")
            finally:
                del self._in_flight[number]
                self._slot_freed.set()

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _extend_ack_waits(self) -> None:
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            for message in list(self._in_flight.values()):
                try:
                    await message.msg.in_progress()
                except nats.errors.Error:
                    break  # disconnected: the server redelivers, and _start adopts the new delivery

    async def _nack_all(self, inbox: Subscription, arrived: asyncio.Queue[Msg]) -> None:
        in_flight = list(self._in_flight.values())
        for task in list(self._tasks):
            task.cancel()
        if not self._client.is_connected:
            return  # the server redelivers all of them when their ack wait is over
        with suppress(nats.errors.Error, TimeoutError):
            # The subscription ends first: the open request would bring nacked messages back here.
            async with asyncio.timeout(_NACK_S):
                await inbox.drain()  # type: ignore[no-untyped-call]
                unstarted = [arrived.get_nowait() for _ in range(arrived.qsize())]
                for msg in [*(message.msg for message in in_flight), *unstarted]:
                    if not JetStreamContext.is_status_msg(msg) and not msg.is_acked:
                        await msg.nak()
                await self._client.flush()


async def _next_of(arrived: asyncio.Queue[Msg]) -> Msg:
    """Return the next message. Raises TimeoutError after 1 s."""
    if not arrived.empty():  # most of the time; a timer for each message would cost more than it
        return arrived.get_nowait()
    async with asyncio.timeout(1):
        return await arrived.get()
