"""Many requests to the bus at once, whose replies all come to one inbox.

nats-py's own `request` has a timer and a waiter for each request, and a request with many replies
needs a subscription of its own. That costs more than all else that the bridge does for a song.
"""

import asyncio
import itertools
from collections.abc import Mapping

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

_LOOK_S = 1.0


class BusRequests:
    """Requests over one connection. Each takes at most `timeout_s`, and a second more.

    Methods raise nats.errors.Error if the bus is away or has nobody who answers.
    """

    def __init__(self, client: Client, timeout_s: float = 5.0) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._prefix = ""
        self._tokens = itertools.count()
        self._open: dict[str, _Request] = {}  # the oldest one first
        self._subscribing = asyncio.Lock()
        self._looking: asyncio.TimerHandle | None = None

    async def send(self, subject: str, data: bytes, headers: Mapping[str, str]) -> Msg:
        """Return the reply to a message."""
        [reply] = await self._send(subject, data, headers, is_stream=False)
        if JetStreamContext.is_status_msg(reply):
            raise nats.errors.NoRespondersError
        return reply

    async def send_for_many(self, subject: str, data: bytes) -> list[Msg]:
        """Return all replies; the last one is a status."""
        return await self._send(subject, data, {}, is_stream=True)

    async def _send(
        self, subject: str, data: bytes, headers: Mapping[str, str], *, is_stream: bool
    ) -> list[Msg]:
        if not self._prefix:
            await self._subscribe()
        token = str(next(self._tokens))
        loop = asyncio.get_running_loop()
        request = _Request(loop.create_future(), loop.time() + self._timeout_s, is_stream)
        self._open[token] = request
        self._looking = self._looking or loop.call_later(_LOOK_S, self._end_late_ones)
        try:
            await self._client.publish(
                subject, data, f"{self._prefix}.{token}", dict(headers) if headers else None
            )
            return await request.replies
        finally:
            self._open.pop(token, None)

    async def _subscribe(self) -> None:
        async with self._subscribing:
            if not self._prefix:
                inbox = self._client.new_inbox()
                await self._client.subscribe(f"{inbox}.*", cb=self._take)
                self._prefix = inbox

    async def _take(self, reply: Msg) -> None:
        request = self._open.get(reply.subject.rpartition(".")[2])
        if request and not request.replies.done():
            request.received.append(reply)
            if not request.is_stream or JetStreamContext.is_status_msg(reply):
                request.replies.set_result(request.received)

    def _end_late_ones(self) -> None:
        loop = asyncio.get_running_loop()
        for request in self._open.values():
            if request.end > loop.time():
                break
            if not request.replies.done():
                request.replies.set_exception(nats.errors.TimeoutError())
        self._looking = loop.call_later(_LOOK_S, self._end_late_ones) if self._open else None


class _Request:
    """An open request: what it has received, and the future of all its replies."""

    __slots__ = ("end", "is_stream", "received", "replies")

    def __init__(self, replies: asyncio.Future[list[Msg]], end: float, is_stream: bool) -> None:
        self.replies = replies
        self.end = end
        self.is_stream = is_stream
        self.received: list[Msg] = []
