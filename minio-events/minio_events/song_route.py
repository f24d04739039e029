"""The way of songs and ranges to the separate function, in fair turns.

Each message of the stream SONGS is copied to its submitter's queue, in the stream QUEUE. From there
songs are sent as FairTurns chooses them. Only a few messages of each submitter are known at a time,
so neither the memory nor the turns of others depend on how many songs somebody sends. One bridge at
a time does this, so that all bridges together keep to the limit of requests.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import nats.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from microdemucs import bus, logs
from microdemucs.events import MalformedMessage
from microdemucs.jobs import song_digest
from microdemucs.submitters import submitter_of
from minio_events.backoff import Backoff
from minio_events.cancellation import cancel, run_all
from minio_events.daemon import wait_for_stream
from minio_events.dead_letters import dead_letter, is_replayed, write_dead_letter
from minio_events.dedup import Deduplicator
from minio_events.failed_jobs import FailedJobs
from minio_events.fair_turns import FairTurns, Turn
from minio_events.forward import Accepted, Retry, Undeliverable, Verdict, post
from minio_events.leadership import Leadership
from minio_events.pull import InFlight, PullConsumer
from minio_events.routing import FunctionCall, separate_calls, trace_of
from minio_events.song_queue import QueuedMessage, SongQueue, queue_name
from minio_events.stalled_request import answer_or_stall

log = logging.getLogger(__name__)

SONGS = "songs"
"""The kind of this route, and of its dead letters."""

_COPIED_AT_ONCE = 64
_LOOK_AHEAD = 1000  # known messages of one submitter, if none of them can be sent
_KNOWN_AT_ONCE = 64  # known messages of one submitter, if some of them can be sent
_READ_AT_ONCE = 64  # submitters
_REFRESH_S = 5.0
_LEASE_WAIT_S = 0.2
_RETRY_AFTER_CRASH_S = 30.0


class SongRoute:
    """Songs of the input bucket `songs` go to the separate function at `url`.

    At most `concurrency` requests are open at once. They are signed with `secret`. No request is
    sent while another bridge may have the `leadership`.
    """

    def __init__(
        self,
        client: Client,
        session: aiohttp.ClientSession,
        queue: SongQueue,
        failed_jobs: FailedJobs,
        leases: KeyValue,
        leadership: Leadership,
        *,
        url: str,
        songs: str,
        concurrency: int,
        max_attempts: int,
        secret: str,
    ) -> None:
        self._client = client
        self._session = session
        self._failed_jobs = failed_jobs
        self._leases = leases
        self._leadership = leadership
        self._url = url
        self._songs = songs
        self._secret = secret
        self._consumer = PullConsumer(client, bus.SONGS, "separate", _COPIED_AT_ONCE)
        self._deduplicator = Deduplicator()
        self._backoff = Backoff(max_attempts)
        self._queue = queue
        self._turns = FairTurns()
        self._known: dict[int, _Known] = {}
        # Submitters that may have messages behind this number that are not known yet.
        self._unread: dict[str, int] = {}
        self._arrived: set[str] = set()  # those of them that got one while their queue was read
        self._slots = asyncio.Semaphore(concurrency)
        self._changed = asyncio.Event()
        self._in_work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled."""
        await wait_for_stream(self._client, bus.QUEUE)
        await self._find_unread()  # before others are copied: they are behind what is in the queue
        try:
            await run_all(
                self._consumer.run(self._copy), self._watch_queue(), self._send_in_turns()
            )
        finally:
            await cancel(self._in_work)

    async def _copy(self, message: InFlight) -> None:
        """Copy a message of the stream SONGS to its submitter's queue, unless it is a duplicate."""
        try:
            calls = separate_calls(message.msg.subject, message.msg.data, self._songs)
        except MalformedMessage as error:
            await self._dead_letter_unread(message, f"malformed: {error}")
            return
        except Exception as error:  # it would crash again each time it is redelivered
            log.exception("message cannot be read", extra={"route": SONGS})
            await self._dead_letter_unread(message, f"malformed: {error!r}")
            return
        new = [call for call in calls if not self._is_duplicate(call, message)]
        if new:
            submitter = queue_name(_submitter_of(new[0]))
            number, is_new = await self._queue.put(submitter, message.msg)
            copy = QueuedMessage(number, message.msg.subject, message.msg.data)
            if self._can_be_known(submitter, is_new):
                self._know(submitter, copy, calls)
            self._changed.set()
        await message.msg.ack()

    def _can_be_known(self, submitter: str, is_new: bool) -> bool:
        """Return whether all messages of the submitter are known, and another one may be.

        Otherwise what was copied is read from the queue when its turn is near.
        """
        if not is_new:  # copied before; only the queue knows whether it is done
            self._unread[submitter] = 0
        if submitter in self._unread:
            self._arrived.add(submitter)
            return False
        if self._turns.known(submitter) < _KNOWN_AT_ONCE:
            return True
        self._unread[submitter] = self._turns.last_known(submitter)
        return False

    def _know(self, submitter: str, message: QueuedMessage, calls: list[FunctionCall]) -> None:
        if message.number not in self._known:
            self._known[message.number] = _Known(message, calls)
            keys = frozenset(call.concurrency_key for call in calls)
            self._turns.add(Turn(message.number, submitter, keys))

    async def _dead_letter_unread(self, message: InFlight, reason: str) -> None:
        about = str(message.number)
        await dead_letter(self._client, SONGS, about, message.msg, reason, message.tries)
        _log_dead_letter(about, reason)
        await message.msg.ack()

    def _is_duplicate(self, call: FunctionCall, message: InFlight) -> bool:
        if is_replayed(message.msg):
            self._deduplicator.set_owner(call.deduplication_key, message.number)
        return self._deduplicator.is_duplicate(call.deduplication_key, message.number)

    async def _watch_queue(self) -> None:
        """Find messages that were missed: the answer to their copying was lost."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            await self._find_unread()

    async def _find_unread(self) -> None:
        while True:
            try:
                lengths = await self._queue.lengths()
                break
            except nats.errors.Error:  # the bus is away
                if self._client.is_closed:
                    raise nats.errors.ConnectionClosedError from None
                await asyncio.sleep(_REFRESH_S)
        for submitter, length in lengths.items():
            if submitter not in self._unread and length != self._turns.known(submitter):
                self._unread[submitter] = 0
                self._changed.set()

    async def _send_in_turns(self) -> None:
        while True:
            await self._slots.acquire()
            task = asyncio.create_task(self._work(await self._next()))
            self._in_work.add(task)
            task.add_done_callback(self._in_work.discard)

    async def _next(self) -> Turn:
        """Wait until a message can be sent, and return its turn."""
        while True:
            self._changed.clear()
            try:
                await self._read_ahead()
            except nats.errors.Error:  # the bus is away
                await asyncio.sleep(0.5)
                continue
            while not self._leadership.is_certain:
                await asyncio.sleep(_LEASE_WAIT_S)
            if turn := self._turns.take(_now()):
                return turn
            due = self._turns.next_due(_now())
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else due - _now()):
                    await self._changed.wait()

    async def _read_ahead(self) -> None:
        """Read messages of each submitter until one is known that can be sent."""
        now = _now()
        submitters = [each for each in self._unread if not self._turns.has_ready(each, now)]
        for start in range(0, len(submitters), _READ_AT_ONCE):
            some = submitters[start : start + _READ_AT_ONCE]
            reads = (self._read_until_ready(submitter) for submitter in some)
            for error in await asyncio.gather(*reads, return_exceptions=True):
                if error:
                    raise error
        self._turns.forget_idle(keep=self._unread)

    async def _read_until_ready(self, submitter: str) -> None:
        while submitter in self._unread and not self._turns.has_ready(submitter, _now()):
            if self._turns.known(submitter) >= _LOOK_AHEAD:
                break
            await self._read(submitter)

    async def _read(self, submitter: str) -> None:
        after = self._unread[submitter]
        self._arrived.discard(submitter)
        messages = await self._queue.read(submitter, after, _KNOWN_AT_ONCE)
        for message in messages:
            self._know(submitter, message, self._calls_of(message))
        if self._unread[submitter] != after:
            return  # it must be read from the beginning
        if messages:
            self._unread[submitter] = messages[-1].number
        elif submitter not in self._arrived:
            del self._unread[submitter]

    async def _work(self, turn: Turn) -> None:
        try:
            try:
                retry = await self._send(turn, self._known[turn.number])
            finally:
                self._slots.release()
            if not retry:
                await self._queue.remove(turn.number)
        except nats.errors.Error:  # the bus is away: the message is still in the queue
            retry = Retry("the bus is away", after=1)
        except Exception:
            log.exception("message handler crashed")
            retry = Retry("crashed", after=_RETRY_AFTER_CRASH_S)
        if retry:
            due = _now() + (retry.after or 0)
            self._turns.put_back(turn, due, keeps_turn=not retry.counted)
        else:
            self._forget(turn)
        self._changed.set()

    def _forget(self, turn: Turn) -> None:
        self._turns.remove(turn)
        self._backoff.forget(turn.number)
        del self._known[turn.number]

    async def _send(self, turn: Turn, known: "_Known") -> Retry | None:
        """Send the message's calls. Return None if it is done, else a Retry with `after`."""
        for call in known.calls:
            verdict = await self._post(call)
            about = {"route": SONGS, "subject": call.event["subject"], "id": call.event["id"]}
            with logs.context(trace=trace_of(call.event), job=call.job):
                match verdict:
                    case Accepted():
                        log.info("delivered", extra=about)
                        continue
                    case Undeliverable(reason):
                        await self._dead_letter(turn, known.message, call, reason)
                    case Retry(reason, _, counted):
                        delay = self._backoff.next_delay(turn.number, verdict)
                        if delay is not None:
                            extra = about | {"reason": reason, "after": delay}
                            log.warning("retry scheduled", extra=extra)
                            return Retry(reason, delay, counted)
                        await self._dead_letter(turn, known.message, call, reason)
                return None
        return None

    async def _post(self, call: FunctionCall) -> Verdict:
        answer = post(self._session, self._url, call.event, self._secret)
        if not call.lease:
            return await answer
        return await answer_or_stall(answer, self._leases, song_digest(call.lease))

    async def _dead_letter(
        self, turn: Turn, message: QueuedMessage, call: FunctionCall, reason: str
    ) -> None:
        await write_dead_letter(
            self._client,
            SONGS,
            call.job,
            message.subject,
            message.body,
            f"{bus.QUEUE}.{message.number}",
            reason,
            turn.tries,
        )
        _log_dead_letter(call.job, reason)
        await self._failed_jobs.end(call, reason)

    def _calls_of(self, message: QueuedMessage) -> list[FunctionCall]:
        """Return the calls of a message that was read before it was copied to the queue."""
        try:
            return separate_calls(message.subject, message.body, self._songs)
        except MalformedMessage:  # another version has copied it: the sweep finds its song
            log.warning("queued message dropped: it cannot be read")
            return []


@dataclass(frozen=True, slots=True)
class _Known:
    """A message of the queue, and its calls."""

    message: QueuedMessage
    calls: list[FunctionCall]


def _submitter_of(call: FunctionCall) -> str:
    return submitter_of(call.song.key, call.song.metadata) if call.song else ""


def _log_dead_letter(about: str, reason: str) -> None:
    extra = {"route": SONGS, "about": about, "reason": reason}
    log.error("message dead-lettered", extra=extra)


def _now() -> float:
    return asyncio.get_running_loop().time()
