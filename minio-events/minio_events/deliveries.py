"""Attempt the deliveries that are due: send each to the function notify, and act on its answer.

notify writes new deliveries to the stream OUTBOX; those that are repeated are in DELIVERIES, to
which only the bridge writes. The messages are read and deleted when they are done, without a
consumer: a consumer has one queue, and a limit of unacknowledged messages that one dead receiver
can fill. What waits for its next attempt is a scheduled message (NATS ADR-51): the server stores it
at its target's subject again when it is due. One bridge at a time delivers; if it is killed,
messages that it had in work are attempted again.
"""

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

import aiohttp
import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from microdemucs import logs
from microdemucs.bus import (
    DELIVERIES,
    DUE_SUBJECT,
    NEW_SUBJECT,
    OLD_DUE_SUBJECT,
    OUTBOX,
    READY_SUBJECT,
    WAITING_SUBJECT,
)
from microdemucs.events import MalformedMessage
from microdemucs.messages import Delivery
from minio_events.backoff import delay_after
from minio_events.cancellation import cancel
from minio_events.dead_letters import write_dead_letter
from minio_events.delivery_queues import (
    HANGING_S,
    SLOW_S,
    Attempt,
    DeliveryQueues,
    Limits,
    Queue,
    Speed,
)
from minio_events.forward import Accepted, Retry, Undeliverable, Verdict, post
from minio_events.routing import FunctionCall, delivery_call, read_delivery, trace_of

log = logging.getLogger(__name__)

ROUTE = "deliveries"
"""The kind of dead letters, and the route in logs."""

ATTEMPT_S = 60.0
"""The longest time that one request to notify may take; an attempt takes 15 s."""

_GONE = ("no message found", "deleted message", "stream store EOF")
"""The server's errors about a message that has already been deleted."""

_SCAN_S = 30.0
_RETRY_S = 1.0
_LOGGED_TRIES = 10
_T = TypeVar("_T")


class _Due(NamedTuple):
    """A message that is due, and its sequence number in its stream."""

    subject: str
    number: int
    data: bytes

    @property
    def stream(self) -> str:
        return _stream_of(self.subject)

    @property
    def due_subject(self) -> str:
        """Where it is stored for another attempt."""
        if self.stream == OUTBOX:
            return DUE_SUBJECT + self.subject.removeprefix(NEW_SUBJECT)
        return self.subject


class Deliveries:
    """The way of all deliveries to the function at `url`; `secret` signs the requests."""

    def __init__(
        self,
        client: Client,
        session: aiohttp.ClientSession,
        url: str,
        secret: str,
        limits: Limits,
        max_attempts: int,
    ) -> None:
        self._client = client
        self._js = client.jetstream()
        self._session = session
        self._url = url
        self._secret = secret
        self._max_attempts = max_attempts
        self._queues = DeliveryQueues(limits)
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Deliver until cancelled.

        Raises nats.errors.ConnectionClosedError if the client will not connect again.
        """
        announced: list[tuple[str, int]] = []
        has_scanned = False

        async def on_ready(message: Msg) -> None:
            subject, number = _announced(message)
            if subject.startswith(f"{WAITING_SUBJECT}."):
                return
            if has_scanned:
                self._queues.announce(subject, number)
                self._changed.set()
            else:
                announced.append((subject, number))

        # What arrives during the first scan counts after it: the scan finds older messages, too.
        subscription = await self._client.subscribe(f"{READY_SUBJECT}.>", cb=on_ready)
        dispatching = asyncio.create_task(self._dispatch())
        try:
            while True:
                reconnects = self._client.stats["reconnects"]
                await self._scan()
                has_scanned = True
                while announced:
                    self._queues.announce(*announced.pop(0))
                self._changed.set()
                await self._wait_for_scan(reconnects, dispatching)
        finally:
            await cancel([dispatching, *self._tasks])
            if self._client.is_connected:
                await subscription.unsubscribe()

    async def _wait_for_scan(self, reconnects: int, dispatching: asyncio.Task[None]) -> None:
        """Wait until the next scan: announcements can be lost, above all while disconnected.

        Raises what `dispatching` raises.
        """
        end = time.monotonic() + _SCAN_S
        while time.monotonic() < end and self._client.stats["reconnects"] == reconnects:
            self._raise_if_closed()
            done, _ = await asyncio.wait({dispatching}, timeout=_RETRY_S)
            for task in done:
                task.result()

    async def _scan(self) -> None:
        """Find every target with messages that are due."""
        for subjects in (f"{NEW_SUBJECT}.>", f"{DUE_SUBJECT}.>", OLD_DUE_SUBJECT):
            stream = _stream_of(subjects)
            list_subjects = partial(self._js.stream_info, stream, subjects_filter=subjects)
            info = await self._persist(list_subjects)
            for subject in info.state.subjects or ():
                self._queues.add(subject)

    async def _dispatch(self) -> None:
        while True:
            self._changed.clear()
            while attempt := self._queues.start():
                task = asyncio.create_task(self._run(attempt))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await self._changed.wait()

    async def _run(self, attempt: Attempt) -> None:
        seconds: float | None = None
        try:
            due = await self._persist(lambda: self._take(attempt.queue))
            self._changed.set()
            if due:
                seconds = await self._handle(attempt, due)
        except Exception:
            log.exception("message handler crashed")
        finally:
            self._queues.end(attempt, seconds)
            self._changed.set()

    async def _take(self, queue: Queue) -> _Due | None:
        """Return the next message of the queue, if there is one."""
        try:
            stored = await self._js.get_msg(
                _stream_of(queue.subject),
                *(max(1, queue.cursor), queue.subject),
                direct=True,
                next=True,
            )
        except nats.js.errors.NotFoundError:
            self._queues.take_nothing(queue)
            return None
        number = stored.seq or 0
        self._queues.take(queue, number)
        return _Due(queue.subject, number, stored.data or b"")

    async def _handle(self, attempt: Attempt, due: _Due) -> float | None:
        """Attempt the delivery; return the seconds that it took, None if it was malformed."""
        try:
            delivery = read_delivery(due.data)
            call = delivery_call(delivery)
        except MalformedMessage as error:
            await self._dead_letter(due, str(due.number), due.data, f"malformed: {error}", 1)
            return None
        verdict, seconds = await self._post(attempt, call)
        with logs.context(trace=trace_of(call.event), job=delivery.job):
            await self._act_on(verdict, due, delivery, call)
        return seconds

    async def _post(self, attempt: Attempt, call: FunctionCall) -> tuple[Verdict, float]:
        """Post until the function has begun; return its verdict and how long it took."""
        tries = 0
        while True:
            began = time.monotonic()
            slowing = asyncio.create_task(self._slow_down(attempt))
            try:
                verdict = await post(self._session, self._url, call.event, self._secret, ATTEMPT_S)
            finally:
                slowing.cancel()
            if not isinstance(verdict, Retry) or verdict.counted:
                return verdict, time.monotonic() - began
            tries += 1
            delay = delay_after(tries, verdict)
            about = _about(call) | {"reason": verdict.reason, "after": delay}
            log.warning("retry scheduled", extra=about)
            await asyncio.sleep(delay)

    async def _slow_down(self, attempt: Attempt) -> None:
        """Move the attempt to another share when it has run for long."""
        for seconds, speed in ((SLOW_S, Speed.SLOW), (HANGING_S - SLOW_S, Speed.HANGING)):
            await asyncio.sleep(seconds)
            self._queues.move(attempt, speed)
            self._changed.set()

    async def _act_on(
        self, verdict: Verdict, due: _Due, delivery: Delivery, call: FunctionCall
    ) -> None:
        match verdict:
            case Accepted():
                log.info("delivered", extra=_about(call))
                await self._delete(due)
            case Undeliverable(reason):
                await self._give_up(due, delivery, reason)
            case Retry(reason):
                if delivery.attempt >= self._max_attempts:
                    await self._give_up(due, delivery, reason)
                    return
                delay = delay_after(delivery.attempt, verdict)
                about = _about(call) | {"reason": reason, "after": delay}
                log.warning("retry scheduled", extra=about)
                await self._schedule(due, delivery, delay)

    async def _schedule(self, due: _Due, delivery: Delivery, delay: float) -> None:
        """Let the server store the delivery again after `delay` seconds."""
        again = msgspec.structs.replace(delivery, attempt=delivery.attempt + 1)
        moment = datetime.now(UTC) + timedelta(seconds=delay)
        headers = {
            "Nats-Schedule": f"@at {moment.isoformat(timespec='milliseconds')}",
            "Nats-Schedule-Target": due.due_subject,
            "Nats-Msg-Id": f"{due.stream}-{due.number}.{again.attempt}",
        }
        subject = f"{WAITING_SUBJECT}.{due.stream}-{due.number}"
        await self._persist(lambda: self._js.publish(subject, again.write(), headers=headers))
        await self._delete(due)

    async def _give_up(self, due: _Due, delivery: Delivery, reason: str) -> None:
        # Replayed, it has all its attempts again.
        data = msgspec.structs.replace(delivery, attempt=1).write()
        await self._dead_letter(due, delivery.delivery, data, reason, delivery.attempt)

    async def _dead_letter(
        self, due: _Due, about: str, data: bytes, reason: str, tries: int
    ) -> None:
        await self._persist(
            lambda: write_dead_letter(
                self._client,
                *(ROUTE, about, due.due_subject, data),
                *(f"{due.stream}.{due.number}", reason, tries),
            )
        )
        log.error("message dead-lettered", extra={"route": ROUTE, "about": about, "reason": reason})
        await self._delete(due)

    async def _delete(self, due: _Due) -> None:
        async def delete() -> None:
            # nats-py's delete_msg would also overwrite the message on the disk.
            request = json.dumps({"seq": due.number, "no_erase": True}).encode()
            subject = f"$JS.API.STREAM.MSG.DELETE.{due.stream}"
            response = json.loads((await self._client.request(subject, request, 5)).data)
            error = response.get("error", {})
            if error and error.get("description") not in _GONE:
                raise nats.js.errors.APIError.from_error(error)

        await self._persist(delete)

    async def _persist(self, action: Callable[[], Awaitable[_T]]) -> _T:
        """Do `action` again until the bus answers."""
        for tries in itertools.count(1):
            try:
                return await action()
            except (nats.errors.Error, OSError) as error:
                self._raise_if_closed()
                if tries % _LOGGED_TRIES == 0:
                    log.warning("bus does not answer", extra={"reason": repr(error)})
                await asyncio.sleep(_RETRY_S)
        raise AssertionError("itertools.count does not end")

    def _raise_if_closed(self) -> None:
        if self._client.is_closed:
            raise nats.errors.ConnectionClosedError


def _stream_of(subject: str) -> str:
    return OUTBOX if subject.startswith(f"{NEW_SUBJECT}.") else DELIVERIES


def _announced(message: Msg) -> tuple[str, int]:
    """Return the subject and the sequence number of the message that was stored."""
    headers = message.headers or {}
    return headers.get("Nats-Subject", ""), int(headers.get("Nats-Sequence", 0))


def _about(call: FunctionCall) -> dict[str, str]:
    return {"route": ROUTE, "subject": call.event["subject"], "id": call.event["id"]}
