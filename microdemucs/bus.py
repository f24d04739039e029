"""A synchronous client of the message bus (NATS JetStream), for functions that use threads.

The connection runs on an event loop in its own thread, and reconnects for as long as the process
lives. While the bus is away, methods raise RetryLater.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.kv import KeyValue

from microdemucs.entries import (
    CHANGES,
    StoredMessage,
    read_batch,
    read_entries,
    read_messages,
    revision_of,
)
from microdemucs.entries import Entry as Entry
from microdemucs.problems import RetryLater
from microdemucs.settings import BusSettings

# Streams and their subjects; minio-events/ provisions and reads them.
SONGS, STEMS, DELIVERIES, DEAD = "SONGS", "STEMS", "DELIVERIES", "DEAD"
OUTBOX = "OUTBOX"
# The songs and ranges that wait for the separate function, with one subject for each submitter.
QUEUE, QUEUE_SUBJECT_PREFIX = "QUEUE", "queue"
SONGS_SUBJECT, STEMS_SUBJECT = "minio.songs", "minio.stems"
STARTED_SUBJECT, FINISHED_SUBJECT = "separation.started", "separation.finished"
# Also in the stream SONGS, so that they queue with the songs: separate one range of a song, and run
# a job again once its ranges are done.
RANGE_SUBJECT, REQUEUE_SUBJECT = "separation.range", "separation.requeue"
OLD_REQUEUE_SUBJECT = "separation.again"  # also routed, for one release
# Subjects of the stream OUTBOX: <NEW_SUBJECT>.<receiver>.<target> is the queue of the new
# deliveries for one target. Subjects of the stream DELIVERIES: <DUE_SUBJECT>.<receiver>.<target> is
# the queue of those that are repeated; <WAITING_SUBJECT>.<stream>-<number> holds one until its next
# attempt is due. What both store is announced on <READY_SUBJECT>.<subject without "deliveries.">,
# without the data.
NEW_SUBJECT = "deliveries.new"
DUE_SUBJECT, WAITING_SUBJECT, READY_SUBJECT = "deliveries.due", "deliveries.wait", "ready"
OLD_DUE_SUBJECT = "deliveries.*"  # deliveries of the previous release, for one release
# The last attempts of each webhook, on <ATTEMPTS_SUBJECT>.<webhook id>: for people.
ATTEMPTS, ATTEMPTS_SUBJECT, ATTEMPTS_KEPT = "ATTEMPTS", "attempts", 50
# Key-value buckets: job id → JobRecord; job id → cancel request; song digest → lease owner;
# SHA-256 and options → the job whose stems can be reused; webhooks and callbacks; idempotency key
# → the answer to its first request.
JOBS, CANCELS, LEASES, RESULTS, WEBHOOKS = "jobs", "cancels", "leases", "results", "webhooks"
IDEMPOTENCY = "idempotency"

_TIMEOUT_S = 5.0
_BRIDGE_TIMEOUT_S = 4.0  # a little less, so that an error can name the bridge
_POLL_S = 5.0  # a watch looks for changes of which it was not told, too
_LAG_S = 0.05  # until a copy of the stream on another server has caught up
_PUBLISHED_AT_ONCE = 256
_WRONG_LAST_SEQUENCE = (10071, 10164)  # JSStreamWrongLastSequenceErrF and …ConstantErr
_LAST = "Nats-Expected-Last-Subject-Sequence"
_DELETED = {"KV-Operation": "DEL"}
# Stricter than nats-py's check, which accepts empty tokens and a line end.
_is_key = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*").fullmatch
_T = TypeVar("_T")


class RevisionConflict(Exception):
    """Another writer changed this key first."""


class Message(NamedTuple):
    """A message for a stream, which deduplicates by `id`."""

    subject: str
    data: bytes
    id: str


def connection(settings: BusSettings, name: str) -> dict[str, Any]:
    """Return the arguments of nats-py's `connect` that all components use.

    Each connects as its own user with its own inboxes, and reconnects without end.
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
    """One connection to NATS. Thread-safe. Every method except `send` waits for the answer."""

    def __init__(self, settings: BusSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._client = Client()
        self._connected = threading.Event()
        self._buckets: dict[str, KeyValue] = {}
        self._watches: list[Callable[[], None]] = []
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False
        # Reentrant: a finalizer may run while it is held, and logging publishes on this bus.
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()
        self._submit(self._connect())

    @property
    def is_up(self) -> bool:
        """Whether the connection is up."""
        return self._client.is_connected and not self._is_closed

    @property
    def server_version(self) -> str:
        """The version of the connected server; "" if there is none."""
        if not self.is_up:
            return ""
        version = self._client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"

    def get(self, bucket: str, key: str) -> Entry | None:
        """Return the entry at `key`, or None, also if no entry can have this key.

        Raises RetryLater.
        """
        return self._request(self._get(bucket, key))

    def put(self, bucket: str, key: str, value: bytes, ttl: int = 0) -> int:
        """Write unconditionally and return the new revision. Raises RetryLater.

        With `ttl`, the key vanishes after so many seconds; the bucket must allow that.
        """
        return self._request(self._put(bucket, key, value, ttl))

    def create(self, bucket: str, key: str, value: bytes, ttl: int = 0) -> int:
        """Write a new key and return its revision; `ttl` is as in `put`.

        Raises RevisionConflict, RetryLater.
        """
        return self._request(self._create(bucket, key, value, ttl))

    def update(self, bucket: str, key: str, value: bytes, revision: int, ttl: int = 0) -> int:
        """Write if `revision` is the latest; return the new one. `ttl` is as in `put`.

        Raises RevisionConflict, RetryLater.
        """
        return self._request(self._update(bucket, key, value, revision, ttl))

    def delete(self, bucket: str, key: str, revision: int = 0) -> None:
        """Delete the key, if it exists, and if `revision` is the latest (0: whatever it is).

        Raises RevisionConflict, RetryLater.
        """
        self._request(self._delete(bucket, key, revision))

    def remove(self, bucket: str, key: str) -> None:
        """Delete the key; the marker of the deletion vanishes after a second.

        The bucket must allow time limits. Unlike a purge of the key, this needs no right to purge
        the stream. Raises RetryLater.
        """
        self._request(self._remove(bucket, key))

    def publish(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish to the stream of `subject`, which deduplicates by `message_id`.

        Raises RetryLater.
        """
        self._request(self._publish(subject, data, message_id))

    def publish_all(self, messages: Sequence[Message]) -> None:
        """Publish many messages, of which several are on their way at a time. Raises RetryLater.

        If that is raised, some have been published: publish all of them again.
        """
        for start in range(0, len(messages), _PUBLISHED_AT_ONCE):
            batch = messages[start : start + _PUBLISHED_AT_ONCE]
            self._request(self._publish_all(batch))

    def entries(self, bucket: str, keys: str = ">") -> list[Entry]:
        """Return the entries whose keys match the subject pattern `keys`. Raises RetryLater."""
        return self._request(self._entries(bucket, keys))

    def changes(self, bucket: str, keys: str, after: int) -> list[Entry]:
        """Return the newest entries of `keys` (a subject pattern) after the revision `after`.

        They are in the order of their revisions. A deletion by `remove` is an entry for a second
        only. One request reads hundreds of entries. Raises RetryLater.
        """
        found: list[Entry] = []
        pending = 1
        while pending:
            reading = read_batch(self._client, bucket, after=after, keys=keys)
            entries, pending = self._request(reading)
            found += entries
            after = entries[-1].revision if entries else after
        return found

    def count(self, bucket: str, keys: str) -> int:
        """Return the number of entries of `keys`, markers of deletions included.

        Raises RetryLater.
        """
        reading = read_batch(self._client, bucket, keys=keys, most=1)
        entries, pending = self._request(reading)
        return len(entries) + pending

    def messages(
        self, stream: str, subjects: str, *, after: int, most: int
    ) -> tuple[list[StoredMessage], int]:
        """Return the next messages of a stream, and how many there are after them.

        Raises RetryLater.
        """
        reading = read_messages(self._client, stream, subjects, after=after, most=most)
        return self._request(reading)

    def ask_bridge(self, subject: str, data: bytes) -> bytes:
        """Send a request to the bridge and return its reply. Raises RetryLater."""
        return self._request(self._ask_bridge(subject, data))

    def send(self, subject: str, data: bytes) -> None:
        """Publish at most once, without waiting: `data` is lost if the bus is away."""
        if self.is_up:
            with suppress(RetryLater):  # closed just now
                self._submit(self._client.publish(subject, data))

    def watch(
        self, bucket: str, on_entry: Callable[[Entry], None], caught_up: threading.Event
    ) -> None:
        """Call `on_entry` with every entry of `bucket`, and then with each change.

        `caught_up` is set after the last existing entry. The watch lasts as long as the process;
        after a reconnect it delivers every entry again. provision must publish the changes of this
        bucket (minio_events.bus_setup).
        """
        self._submit(self._watch(bucket, on_entry, caught_up))

    def close(self) -> None:
        """Flush and close the connection. From then on the bus is away."""
        with self._lock:
            if self._is_closed:
                return
            closing = self._submit(self._close())
            self._is_closed = True
        with suppress(FutureTimeout):
            closing.result(_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT_S)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run `work` on the connection's thread. Raises RetryLater if the connection is closed."""
        with self._lock:
            if self._is_closed:
                work.close()
                raise RetryLater("bus-away", "The connection to the message bus is closed", after=3)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _request(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._is_closed or not self._connected.wait(_TIMEOUT_S):
            work.close()
            raise RetryLater("bus-away", "The message bus cannot be reached", after=3)
        future = self._submit(work)
        try:
            return future.result(_TIMEOUT_S)
        except nats.js.errors.KeyWrongLastSequenceError as error:
            raise RevisionConflict from error
        except (nats.errors.Error, FutureTimeout, CancelledError, OSError) as error:
            future.cancel()
            raise RetryLater("bus-away", "The message bus does not answer", after=3) from error

    async def _close(self) -> None:
        # First, and apart from the other tasks: connecting may succeed although it was cancelled
        # (wait_for of Python 3.11 prefers the result), and then there is a connection to close.
        if self._connecting:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        try:
            await self._client.drain()
        except (nats.errors.Error, OSError):  # away: nothing can be flushed
            # Nor what is pending. And nats-py waits for a future that its cancelled tasks wait for.
            with suppress(OSError, asyncio.CancelledError):
                await self._client.close()
        # Repeated: a task inside wait_for may swallow its cancellation, or start another task.
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    async def _connect(self) -> None:
        self._connecting = asyncio.current_task()

        async def restart_watches() -> None:
            for start_again in self._watches:
                start_again()

        async def ignore(_: Exception) -> None:
            """Every failed attempt to reconnect arrives here; callers look at `is_up`."""

        await self._client.connect(
            **connection(self._settings, self._name),
            reconnected_cb=restart_watches,
            error_cb=ignore,
        )
        self._connected.set()

    @property
    def _js(self) -> JetStreamContext:
        return self._client.jetstream(timeout=_TIMEOUT_S)

    async def _bucket(self, name: str) -> KeyValue:
        if name not in self._buckets:
            self._buckets[name] = await self._js.key_value(name)
        return self._buckets[name]

    async def _get(self, bucket: str, key: str) -> Entry | None:
        if not _is_key(key):
            return None
        try:
            found = await (await self._bucket(bucket)).get(key)
        except nats.js.errors.KeyNotFoundError:
            return None
        return Entry(key, found.value, found.revision or 0)

    async def _put(self, bucket: str, key: str, value: bytes, ttl: int) -> int:
        if not ttl:
            return await (await self._bucket(bucket)).put(_checked(key), value)
        return await self._publish_entry(bucket, key, value, {"Nats-TTL": str(ttl)})

    async def _create(self, bucket: str, key: str, value: bytes, ttl: int) -> int:
        entries = await self._bucket(bucket)
        return await entries.create(_checked(key), value, msg_ttl=ttl or None)

    async def _update(self, bucket: str, key: str, value: bytes, revision: int, ttl: int) -> int:
        headers = {_LAST: str(revision)} | ({"Nats-TTL": str(ttl)} if ttl else {})
        return await self._publish_entry(bucket, key, value, headers)

    async def _delete(self, bucket: str, key: str, revision: int) -> None:
        headers = _DELETED | ({_LAST: str(revision)} if revision else {})
        await self._publish_entry(bucket, key, b"", headers)

    async def _remove(self, bucket: str, key: str) -> None:
        await self._publish_entry(bucket, key, b"", _DELETED | {"Nats-TTL": "1"})

    async def _publish_entry(
        self, bucket: str, key: str, value: bytes, headers: dict[str, str]
    ) -> int:
        """Write an entry with headers for which nats-py has no arguments."""
        subject = f"$KV.{bucket}.{_checked(key)}"
        try:
            return (await self._js.publish(subject, value, headers=headers)).seq
        except nats.js.errors.APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise nats.js.errors.KeyWrongLastSequenceError from error
            raise

    async def _ask_bridge(self, subject: str, data: bytes) -> bytes:
        try:
            return (await self._client.request(subject, data, timeout=_BRIDGE_TIMEOUT_S)).data
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError) as error:
            raise RetryLater(
                "bridge-away",
                "The bridge does not answer",
                "it does not run, or the bus cannot be reached: try again",
            ) from error

    async def _publish(self, subject: str, data: bytes, message_id: str) -> None:
        await self._js.publish(subject, data, headers={"Nats-Msg-Id": message_id})

    async def _publish_all(self, messages: Sequence[Message]) -> None:
        await asyncio.gather(*(self._publish(*message) for message in messages))

    async def _entries(self, bucket: str, keys: str) -> list[Entry]:
        entries = [entry async for entry in read_entries(self._client, bucket, keys=keys)]
        return [entry for entry in entries if entry.value is not None]

    async def _watch(
        self, bucket: str, on_entry: Callable[[Entry], None], caught_up: threading.Event
    ) -> None:
        is_lost, changed = False, asyncio.Event()
        read = latest = 0  # revisions: the last one that was read, and the last one there is

        async def note_change(change: Msg) -> None:
            nonlocal latest
            latest = max(latest, revision_of(change))
            changed.set()

        def start_again() -> None:
            nonlocal is_lost
            is_lost = True
            changed.set()

        self._watches.append(start_again)
        while not self._connected.is_set():  # before that, nats-py would wait for 2 s
            await asyncio.sleep(0.01)
        await self._client.subscribe(f"{CHANGES}.{bucket}.>", cb=note_change)
        while True:
            changed.clear()
            if is_lost:  # the server may have lost entries, so all are delivered again
                is_lost, read, latest = False, 0, 0
            try:
                async for entry in read_entries(self._client, bucket, after=read):
                    read = entry.revision
                    on_entry(entry)
            except (nats.errors.Error, OSError):
                await asyncio.sleep(0.5)  # the bus is away, or the bucket not provisioned
                continue
            caught_up.set()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), _LAG_S if read < latest else _POLL_S)


def _checked(key: str) -> str:
    """Return `key`. Raises ValueError if no entry of a key-value bucket can have it."""
    if not _is_key(key):
        raise ValueError(f"not a key of a key-value bucket: {key!r}")
    return key
