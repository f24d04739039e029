"""The bus: NATS JetStream for functions that are plain threads, on one connection of its own.

The connection lives on an event loop in a thread of its own and comes back by itself for as long
as the process lives. What needs the bus while it is away raises RetryLater.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as WaitedTooLong
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.kv import KeyValue

from microdemucs.problems import RetryLater
from microdemucs.settings import BusSettings

# Streams and their subjects; minio-events/ provisions and reads them.
SONGS, STEMS, DELIVERIES, DEAD = "SONGS", "STEMS", "DELIVERIES", "DEAD"
SONGS_SUBJECT, STEMS_SUBJECT = "minio.songs", "minio.stems"
STARTED_SUBJECT = "separation.started"
# In the stream of songs, so that they wait in one line with them: a range of a song, and a song
# whose ranges are all there.
RANGE_SUBJECT, REQUEUE_SUBJECT = "separation.range", "separation.again"
# Key-value buckets: job id → JobRecord, job id → cancel mark, song key → who writes beside it,
# audio and options → where its stems are, and webhook registrations.
JOBS, CANCELS, LEASES, RESULTS, WEBHOOKS = "jobs", "cancels", "leases", "results", "webhooks"

_ASK_S = 5.0
_T = TypeVar("_T")


class RevisionConflict(Exception):
    """Somebody else wrote this key first."""


class Entry(NamedTuple):
    """A value and its revision; `value` is None where the key was deleted."""

    key: str
    value: bytes | None
    revision: int


def connection(settings: BusSettings, name: str) -> dict[str, Any]:
    """How every part connects to NATS: as its own user, with inboxes of its own, for good.

    Arguments for nats-py's `connect`.
    """
    return {
        "servers": settings.url,
        "user": settings.user or None,
        "password": settings.password or None,
        "name": name,
        "inbox_prefix": f"_INBOX_{settings.user or 'any'}",
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 1,
        "ping_interval": 10,
    }


class Bus:
    """One connection to NATS. Thread-safe; every method but `tell` waits for the answer."""

    def __init__(self, settings: BusSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._client = Client()
        self._connected = threading.Event()
        self._buckets: dict[str, KeyValue] = {}
        self._reconnected: set[asyncio.Event] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False
        # Reentrant: a finalizer may run while it is held, and what it logs is told on this bus.
        self._beginning = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()
        self._begin(self._connect())

    @property
    def is_up(self) -> bool:
        """Whether the bus answers now."""
        return self._client.is_connected and not self._is_closed

    def get(self, bucket: str, key: str) -> Entry | None:
        """The entry at `key`, or None. Raises RetryLater."""
        return self._ask(self._get(bucket, key))

    def put(self, bucket: str, key: str, value: bytes) -> int:
        """Write whatever is there; the new revision. Raises RetryLater."""
        return self._ask(self._put(bucket, key, value))

    def create(self, bucket: str, key: str, value: bytes) -> int:
        """Write where nothing is; the new revision. Raises RevisionConflict, RetryLater."""
        return self._ask(self._create(bucket, key, value))

    def update(self, bucket: str, key: str, value: bytes, revision: int) -> int:
        """Write where `revision` is the last; the new revision. Raises RevisionConflict, RetryLater."""
        return self._ask(self._update(bucket, key, value, revision))

    def delete(self, bucket: str, key: str) -> None:
        """Delete, whether it is there or not. Raises RetryLater."""
        self._ask(self._delete(bucket, key))

    def publish(self, subject: str, data: bytes, message_id: str) -> None:
        """Hand `data` to the stream that holds `subject`, once per `message_id`. Raises RetryLater."""
        self._ask(self._publish(subject, data, message_id))

    def entries(self, bucket: str, keys: str = ">") -> list[Entry]:
        """What is at the keys that match the subject pattern `keys`, now. Raises RetryLater."""
        return self._ask(self._entries(bucket, keys))

    def tell(self, subject: str, data: bytes) -> None:
        """Send `data` without waiting and without a promise: it is lost where the bus is away."""
        if self.is_up:
            with suppress(RetryLater):  # closed just now
                self._begin(self._client.publish(subject, data))

    def watch(self, bucket: str, seen: Callable[[Entry], None], caught_up: threading.Event) -> None:
        """Call `seen` with every entry of `bucket`, first those that are there, then each change.

        `caught_up` is set once all that was there has been seen. It goes on for as long as the
        process lives; after a loss of the connection everything is told again.
        """
        self._begin(self._watch(bucket, seen, caught_up))

    def close(self) -> None:
        """Send what waits to be sent, and end the connection: the bus is away from then on."""
        with self._beginning:
            if self._is_closed:
                return
            ended = self._begin(self._end())
            self._is_closed = True
        with suppress(WaitedTooLong):
            ended.result(_ASK_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ASK_S)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Have the thread of the connection do `work`. Raises RetryLater where that is closed."""
        with self._beginning:
            if self._is_closed:
                work.close()
                raise RetryLater("bus-away", "The connection to the message bus is closed", after=3)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _ask(self, question: Coroutine[Any, Any, _T]) -> _T:
        if self._is_closed or not self._connected.wait(_ASK_S):
            question.close()
            raise RetryLater("bus-away", "The message bus cannot be reached", after=3)
        future = self._begin(question)
        try:
            return future.result(_ASK_S)
        except nats.js.errors.KeyWrongLastSequenceError as error:
            raise RevisionConflict from error
        except (nats.errors.Error, WaitedTooLong, CancelledError, OSError) as error:
            future.cancel()
            raise RetryLater("bus-away", "The message bus does not answer", after=3) from error

    async def _end(self) -> None:
        # First, and not among the rest: connecting may end well although it was cancelled (wait_for
        # of Python 3.11 prefers an answer), and there is a connection to be ended then.
        if self._connecting:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        try:
            await self._client.drain()
        except (nats.errors.Error, OSError):  # it is away: nothing can be sent
            await self._client.close()
        # More than once: what waits by wait_for may swallow a cancellation, or begin another task.
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    async def _connect(self) -> None:
        self._connecting = asyncio.current_task()

        async def again() -> None:
            for event in self._reconnected:
                event.set()

        async def quiet(_: Exception) -> None:
            """Every failed attempt to reconnect arrives here; `is_up` is what counts."""

        await self._client.connect(
            **connection(self._settings, self._name), reconnected_cb=again, error_cb=quiet
        )
        self._connected.set()

    @property
    def _js(self) -> JetStreamContext:
        return self._client.jetstream(timeout=_ASK_S)

    async def _bucket(self, name: str) -> KeyValue:
        if name not in self._buckets:
            self._buckets[name] = await self._js.key_value(name)
        return self._buckets[name]

    async def _get(self, bucket: str, key: str) -> Entry | None:
        try:
            found = await (await self._bucket(bucket)).get(key)
        except nats.js.errors.KeyNotFoundError:
            return None
        return Entry(key, found.value, found.revision or 0)

    async def _put(self, bucket: str, key: str, value: bytes) -> int:
        return await (await self._bucket(bucket)).put(key, value)

    async def _create(self, bucket: str, key: str, value: bytes) -> int:
        return await (await self._bucket(bucket)).create(key, value)

    async def _update(self, bucket: str, key: str, value: bytes, revision: int) -> int:
        return await (await self._bucket(bucket)).update(key, value, last=revision)

    async def _delete(self, bucket: str, key: str) -> None:
        await (await self._bucket(bucket)).delete(key)

    async def _publish(self, subject: str, data: bytes, message_id: str) -> None:
        await self._js.publish(subject, data, headers={"Nats-Msg-Id": message_id})

    async def _entries(self, bucket: str, keys: str) -> list[Entry]:
        # Not by a watch: nats-py may say that all has been seen before anything came (see _watch).
        subjects = f"$KV.{bucket}.{keys}"
        held = (await self._js.stream_info(f"KV_{bucket}", subjects_filter=subjects)).state
        names = [subject.removeprefix(f"$KV.{bucket}.") for subject in held.subjects or {}]
        found = await asyncio.gather(*(self._get(bucket, name) for name in names))
        return [entry for entry in found if entry]

    async def _watch(
        self, bucket: str, seen: Callable[[Entry], None], caught_up: threading.Event
    ) -> None:
        lost = asyncio.Event()
        self._reconnected.add(lost)
        while not self._connected.is_set():  # what nats-py is asked before that waits for 2 s
            await asyncio.sleep(0.01)
        while True:
            lost.clear()
            try:
                held = await self._bucket(bucket)
                is_empty = (await held.status()).values == 0
                watcher = await held.watchall()
            except (nats.errors.Error, OSError):
                await asyncio.sleep(0.5)  # the bus or the bucket is not there yet
                continue
            while not lost.is_set():
                try:
                    found = await watcher.updates(timeout=1)  # type: ignore[no-untyped-call]
                except nats.errors.TimeoutError:
                    continue
                if found:
                    gone = found.operation in ("DEL", "PURGE")
                    seen(Entry(found.key, None if gone else found.value, found.revision or 0))
                # nats-py's None says that all has been seen, but is wrong where the server has
                # just sent all and nothing has arrived yet (2.16.0): how many follow is not.
                if found.delta == 0 if found else is_empty:
                    caught_up.set()
            await watcher.stop()  # type: ignore[no-untyped-call]
