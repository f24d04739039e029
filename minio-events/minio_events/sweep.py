"""The sweep: the buckets are the truth, so what a lost notification left behind is found there.

Three things are looked for: a song without a result, a result the sink was never told of, and a
job whose record is gone. The first two are notified again in the store's stead; the third is
written down.
"""

import asyncio
import json
import logging
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
from minio import Minio
from minio.datatypes import Object
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from microdemucs import bus, store
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import JobRecord, JobState, job_id, options_hash, song_digest
from microdemucs.manifest import FAILURE, MANIFEST
from microdemucs.options import Options
from microdemucs.problems import Problem
from minio_events.bus_setup import NOTIFIED
from minio_events.connection import connect
from minio_events.dead_letters import is_dead_lettered
from minio_events.result_documents import ResultDocument, marks, record_of
from minio_events.settings import SweepSettings

log = logging.getLogger(__name__)


class Sweep:
    """Looks at both buckets; remembers, from one look to the next, what needs no second one."""

    def __init__(self, client: Client, there: Minio, settings: SweepSettings) -> None:
        self._client = client
        self._js = client.jetstream(timeout=10)
        self._store = there
        self._settings = settings.store
        # A notification on its way is not lost: the sure target replays every 3 s.
        self._grace = timedelta(seconds=settings.grace_seconds)
        self._tell = timedelta(hours=settings.notify_hours)
        self._settled: set[tuple[str, ...]] = set()
        self._told: set[tuple[str, str]] = set()

    async def look(self) -> dict[str, int]:
        """Look once; how many of each were found. Raises problems.RetryLater, nats.errors.Error."""
        idle = await self._is_idle(bus.SONGS, "separate")
        results_idle = await self._is_idle(bus.STEMS, "results")
        records = await self._records()
        there = await asyncio.to_thread(lambda: list(marks(self._store, self._settings.stems)))
        by_key = {mark.key: mark for mark in there}
        found = {"songs": 0, "results": 0, "records": 0}
        for song in await asyncio.to_thread(self._songs):
            created = await self._lost(song, by_key, records, idle)
            if created:
                await self._notify(bus.SONGS_SUBJECT, created)
                log.warning("lost song found", extra={"key": created.key, "job": job_id(created)})
                found["songs"] += 1
        known = {record.key for record in records.values()}
        for mark in there:
            if results_idle and await self._is_untold(mark):
                created = ObjectCreated(
                    self._settings.stems, mark.key, 0, mark.etag, time=_rfc3339(mark.modified)
                )
                await self._notify(bus.STEMS_SUBJECT, created)
                log.warning("lost result found", extra={"key": mark.key})
                found["results"] += 1
            if mark.song_key not in known:
                found["records"] += await self._restore(mark)
        return found

    async def _is_idle(self, stream: str, consumer: str) -> bool:
        """Whether no message of this kind is on its way: then what is undone was lost."""
        info = await self._js.consumer_info(stream, consumer)
        return not info.num_pending and not info.num_ack_pending

    async def _records(self) -> dict[str, JobRecord]:
        held = await self._js.key_value(bus.JOBS)
        records: dict[str, JobRecord] = {}
        if not (await held.status()).values:
            return records
        watcher = await held.watchall()
        try:
            left: int | None = None
            while left != 0:
                # nats-py's None for "that was all" may come before all else (2.16.0): what the
                # server says of how many follow does not.
                entry = await watcher.updates(timeout=10)  # type: ignore[no-untyped-call]
                if entry:
                    left = entry.delta
                    if entry.operation is None:
                        records[entry.key] = JobRecord.read(entry.value)
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]
        return records

    def _songs(self) -> list[Object]:
        with store.map_store_errors():
            return list(self._store.list_objects(self._settings.songs, recursive=True))

    async def _lost(
        self,
        song: Object,
        by_key: dict[str, ResultDocument],
        records: dict[str, JobRecord],
        idle: bool,
    ) -> ObjectCreated | None:
        """The song as a notification would tell of it, where nothing came of it; else None."""
        key, etag, modified = song.object_name or "", song.etag or "", song.last_modified
        if not modified or datetime.now(UTC) - modified < self._grace:
            return None
        beside = [by_key.get(f"{key}/{name}") for name in (MANIFEST, FAILURE)]
        mark = max((m for m in beside if m), key=lambda m: m.modified, default=None)
        settled = (key, etag, modified.isoformat(), mark.etag if mark else "")
        if settled in self._settled:
            return None
        document = await self._document(mark) if mark else {}
        if mark and mark.modified >= modified and _song_of(document).get("etag") == etag:
            self._settled.add(settled)
            return None
        created = await asyncio.to_thread(self._created, key)
        if not created:
            return None
        job = job_id(created)
        # The same song put again is the job that is done already, and gets no newer manifest.
        is_done = mark and mark.key.endswith(MANIFEST) and document.get("job") == job
        if is_done or not created.is_song:
            self._settled.add(settled)
            return None
        on_its_way = not idle and job in records
        if on_its_way or await is_dead_lettered(self._client, "songs", job):
            return None
        return created

    async def _document(self, mark: ResultDocument) -> dict[str, Any]:
        found = await asyncio.to_thread(
            store.read_json, self._store, self._settings.stems, mark.key
        )
        return found or {}

    def _created(self, key: str) -> ObjectCreated | None:
        try:
            with store.map_store_errors():
                stat = self._store.stat_object(self._settings.songs, key)
        except store.ObjectChanged:  # removed a moment ago
            return None
        prefix = "x-amz-meta-"
        metadata = {
            name.lower().removeprefix(prefix): str(value)
            for name, value in (stat.metadata or {}).items()
            if name.lower().startswith(prefix)
        }
        return ObjectCreated(
            bucket=self._settings.songs,
            key=key,
            size=stat.size or 0,
            etag=stat.etag or "",
            version="" if stat.version_id == "null" else stat.version_id or "",
            time=_rfc3339(stat.last_modified or datetime.now(UTC)),
            content_type=stat.content_type or "",
            metadata=metadata,
        )

    async def _notify(self, subject: str, created: ObjectCreated) -> None:
        # Not the id of the lost notification, and a new one each time: the bridge would take it
        # for a copy of what it has seen.
        message = notification(created, f"sweep-{time.time_ns():x}")
        await self._js.publish(subject, message)

    async def _is_untold(self, mark: ResultDocument) -> bool:
        age = datetime.now(UTC) - mark.modified
        if not self._grace <= age <= self._tell or (mark.key, mark.etag) in self._told:
            return False
        try:
            entry = await (await self._js.key_value(NOTIFIED)).get(song_digest(mark.song_key))
            is_told = entry.value == mark.etag.encode()
        except KeyNotFoundError:
            is_told = False
        if not is_told:
            return not await is_dead_lettered(self._client, "results", mark.key)
        self._told.add((mark.key, mark.etag))
        return False

    async def _restore(self, mark: ResultDocument) -> int:
        """Write down again what a mark tells of a job; 1 where that could be done, else 0."""
        try:
            record = record_of(mark, await self._document(mark))
            await (await self._js.key_value(bus.JOBS)).create(record.id, record.write())
        except (KeyError, TypeError, KeyWrongLastSequenceError):
            return 0  # none of ours, or written meanwhile
        if record.state == JobState.DONE and not record.options.get("shifts"):
            with suppress(KeyError, Problem, KeyWrongLastSequenceError):  # it is there, or useless
                name = f"{record.song['sha256']}.{options_hash(Options.of_request(record.options))}"
                value = json.dumps({"key": record.key, "job": record.id}).encode()
                await (await self._js.key_value(bus.RESULTS)).create(name, value)
        return 1


async def sweep(settings: SweepSettings, every: float | None) -> None:
    """Look once, or with `every` again and again with that many seconds between.

    Raises SystemExit where a single look cannot be had.
    """
    client = await connect(settings.bus, "sweep")
    looking = Sweep(client, store.connect(settings.store), settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set():
        try:
            log.info("swept", extra=await looking.look())
        except (Problem, store.ObjectChanged, nats.errors.Error) as error:
            if not every or client.is_closed:
                raise SystemExit(f"the sweep could not look: {error}") from error
            log.warning("sweep failed", extra={"reason": str(error)})
        if not every:
            break
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)
    await client.close()


def _song_of(document: dict[str, Any]) -> dict[str, Any]:
    song = document.get("song")
    return song if isinstance(song, dict) else {}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
