"""The sweep: the reconciliation loop. It compares both buckets and repairs what was lost.

The buckets are the source of truth. There are four kinds of repair:

- songs: a song without a result is notified again;
- results: a result document that the sink never accepted is notified again;
- records: the record of a finished job is written again from its result document;
- removed: the record of a done job whose manifest is gone says so from then on.

What was removed stays away: a song whose job has finished is not lost. When the record of the job
has expired, the song's age tells that there was one.
"""

import asyncio
import json
import logging
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import nats.errors
from minio.datatypes import Object
from minio.error import S3Error
from nats.aio.client import Client
from nats.js.errors import (
    APIError,
    InvalidKeyError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
)
from nats.js.kv import KeyValue

from microdemucs import bus, store
from microdemucs.bucket import Bucket, user_metadata
from microdemucs.entries import read_entries
from microdemucs.events import ObjectCreated, notification
from microdemucs.jobs import FINISHED, JobRecord, JobState, job_id, options_hash, song_digest
from microdemucs.manifest import BadDocument, Failure, Manifest, failure_key, manifest_key
from microdemucs.options import Options
from microdemucs.problems import Problem, RetryLater, is_after, now, time_text
from minio_events.bus_setup import NOTIFIED
from minio_events.connection import connect
from minio_events.dead_letters import is_dead_lettered
from minio_events.result_documents import (
    ResultDocument,
    list_result_documents,
    read_result_document,
    record_of,
)
from minio_events.settings import SweepSettings

log = logging.getLogger(__name__)


class Sweep:
    """Compares `songs`, the input bucket, with `stems`, the output bucket.

    From one run to the next it remembers which songs and results need no second look.
    """

    def __init__(
        self, client: Client, songs: Bucket, stems: Bucket, settings: SweepSettings
    ) -> None:
        self._client = client
        self._js = client.jetstream(timeout=10)
        self._songs = songs
        self._stems = stems
        # A young song may still have its notification on the way: the durable target's come late.
        self._grace = timedelta(seconds=settings.grace_seconds)
        self._max_result_age = timedelta(hours=settings.notify_hours)
        self._record_ttl: timedelta | None = None
        self._settled_songs: set[tuple[str, ...]] = set()
        self._notified_results: set[tuple[str, str]] = set()

    async def run(self) -> dict[str, int]:
        """Sweep once and return the number of repairs of each kind.

        Raises RetryLater, ObjectChanged or nats.errors.Error if store or bus cannot be used.
        """
        songs_idle = await self._is_idle(bus.SONGS, "separate") and await self._is_queue_empty()
        results_idle = await self._is_idle(bus.STEMS, "results")
        jobs = await self._js.key_value(bus.JOBS)
        self._record_ttl = _ttl(await jobs.status())
        records = await self._read_records()
        results = await asyncio.to_thread(lambda: [*list_result_documents(self._stems)])
        by_key = {result.key: result for result in results}
        repairs = {"songs": 0, "results": 0, "records": 0, "removed": 0}
        for song in await asyncio.to_thread(self._songs.list):
            repair = self._repair_song(song, by_key, records, songs_idle)
            repairs["songs"] += await _repaired(song.object_name, repair)
        recorded = {record.key for record in records.values()}
        for result in results:
            if results_idle:
                repairs["results"] += await _repaired(result.key, self._repair_result(result))
            if result.song_key not in recorded:
                repairs["records"] += await _repaired(result.key, self._restore_record(result))
        for key, done in _done_jobs(records.values()).items():
            removals = self._record_removals(jobs, done, by_key.get(manifest_key(key)))
            repairs["removed"] += await _repaired(key, removals)
        return repairs

    async def _repair_song(
        self,
        song: Object,
        results: dict[str, ResultDocument],
        records: dict[str, JobRecord],
        songs_idle: bool,
    ) -> int:
        """Notify the song again if its job was lost. Return how many repairs this is: 1 or 0."""
        created = await self._lost_song(song, results, records, songs_idle)
        if not created:
            return 0
        await self._notify(bus.SONGS_SUBJECT, created)
        log.warning("lost song found", extra={"key": created.key, "job": job_id(created)})
        return 1

    async def _repair_result(self, result: ResultDocument) -> int:
        """Notify the result again if it was lost. Return how many repairs this is: 1 or 0."""
        if not await self._is_lost_result(result):
            return 0
        created = ObjectCreated(
            self._stems.name, result.key, 0, result.etag, time=time_text(result.modified)
        )
        await self._notify(bus.STEMS_SUBJECT, created)
        log.warning("lost result found", extra={"key": result.key})
        return 1

    async def _is_idle(self, stream: str, consumer: str) -> bool:
        """Return whether the consumer has no message left: then unfinished work was lost."""
        info = await self._js.consumer_info(stream, consumer)
        return not info.num_pending and not info.num_ack_pending

    async def _is_queue_empty(self) -> bool:
        return not (await self._js.stream_info(bus.QUEUE)).state.messages

    async def _read_records(self) -> dict[str, JobRecord]:
        records: dict[str, JobRecord] = {}
        async for entry in read_entries(self._client, bus.JOBS):
            record = JobRecord.read_or_none(entry.value)
            if record and record.id == entry.key:
                records[entry.key] = record
        return records

    async def _lost_song(
        self,
        song: Object,
        results: dict[str, ResultDocument],
        records: dict[str, JobRecord],
        songs_idle: bool,
    ) -> ObjectCreated | None:
        """Return the song, as its notification describes it, if its job was lost; else None."""
        key, etag, modified = song.object_name or "", song.etag or "", song.last_modified
        if not modified or datetime.now(UTC) - modified < self._grace:
            return None
        result = _newest(results.get(manifest_key(key)), results.get(failure_key(key)))
        state = (key, etag, modified.isoformat(), result.etag if result else "")
        if state in self._settled_songs:
            return None
        content = (
            await asyncio.to_thread(read_result_document, self._stems, result) if result else None
        )
        if result and content and result.modified >= modified and content.song.etag == etag:
            # With other options the same bytes are another job, which this result may have
            # overtaken: then the jobs are compared below.
            decided = content.decided if isinstance(content, Failure) else content.created
            if not is_after(time_text(modified), decided):
                self._settled_songs.add(state)
                return None
        if self._record_ttl and datetime.now(UTC) - modified > self._record_ttl:
            self._settled_songs.add(state)
            return None  # it had a result, which was removed, and the job's record has expired
        created = await asyncio.to_thread(self._stat_song, key, modified)
        if not created:
            return None
        job = job_id(created)
        # The same song uploaded again is a job that is done, and gets no newer manifest.
        is_done = isinstance(content, Manifest) and content.job == job
        if is_done or not created.is_song or _has_ended(records.get(job), created):
            self._settled_songs.add(state)
            return None
        is_on_its_way = not songs_idle and job in records
        if is_on_its_way or await is_dead_lettered(self._client, "songs", job):
            return None
        return created

    def _stat_song(self, key: str, listed: datetime) -> ObjectCreated | None:
        """Return the song; its time is the one that was `listed`, which has milliseconds."""
        try:
            stat = self._songs.stat(key)
        except store.ObjectChanged:  # removed a moment ago
            return None
        return ObjectCreated(
            bucket=self._songs.name,
            key=key,
            size=stat.size or 0,
            etag=stat.etag or "",
            version="" if stat.version_id == "null" else stat.version_id or "",
            time=time_text(max(stat.last_modified or listed, listed)),
            content_type=stat.content_type or "",
            metadata=user_metadata(stat),
        )

    async def _notify(self, subject: str, created: ObjectCreated) -> None:
        # A new request id each time: otherwise the bridge would drop it as a duplicate.
        message = notification(created, f"sweep-{time.time_ns():x}")
        await self._js.publish(subject, message)

    async def _is_lost_result(self, result: ResultDocument) -> bool:
        """Return whether the sink has not accepted this result, and nobody is about to send it."""
        age = datetime.now(UTC) - result.modified
        version = (result.key, result.etag)
        if not self._grace <= age <= self._max_result_age or version in self._notified_results:
            return False
        notified = await self._js.key_value(NOTIFIED)
        try:
            entry = await notified.get(song_digest(result.song_key))
            is_notified = entry.value == result.etag.encode()
        except KeyNotFoundError:
            is_notified = False
        if is_notified:
            self._notified_results.add(version)
            return False
        return not await is_dead_lettered(self._client, "results", result.key)

    async def _restore_record(self, result: ResultDocument) -> int:
        """Write the job's record from its result document. Return how many were written: 1 or 0."""
        content = await asyncio.to_thread(read_result_document, self._stems, result)
        if not content:
            return 0
        record = record_of(content)
        jobs = await self._js.key_value(bus.JOBS)
        try:
            await jobs.create(record.id, record.write())
        except KeyWrongLastSequenceError:
            return 0  # it was written meanwhile
        if record.state == JobState.DONE and not record.options.get("shifts"):
            await self._restore_reusable_result(record)
        return 1

    async def _record_removals(
        self, jobs: KeyValue, done: list[JobRecord], manifest: ResultDocument | None
    ) -> int:
        """Record which of one song's `done` jobs have lost their stems. Return how many."""
        if manifest and len(done) > 1:
            content = await asyncio.to_thread(read_result_document, self._stems, manifest)
            done = [record for record in done if content and record.id != content.job]
        elif manifest:
            return 0
        return sum([await self._record_removal(jobs, record) for record in done])

    async def _record_removal(self, jobs: KeyValue, record: JobRecord) -> int:
        """Record that the job's stems are gone. Return how many records were written: 1 or 0."""
        try:
            entry = await jobs.get(record.id)
            if JobRecord.read(entry.value or b"") != record:
                return 0
            record.remove_results(now())
            await jobs.update(record.id, record.write(), last=entry.revision)
        except (KeyNotFoundError, KeyWrongLastSequenceError, BadDocument):
            return 0  # it was written meanwhile, or has expired
        log.info("stems removed", extra={"key": record.key, "job": record.id})
        return 1

    async def _restore_reusable_result(self, record: JobRecord) -> None:
        """Enter the stems of a finished job as a result that the same audio can reuse."""
        try:
            options = Options.of_request(record.options)
        except Problem:  # from an older version
            return
        results = await self._js.key_value(bus.RESULTS)
        name = f"{record.song['sha256']}.{options_hash(options)}"
        value = json.dumps({"key": record.key, "job": record.id}).encode()
        with suppress(KeyWrongLastSequenceError):  # there is one
            await results.create(name, value)


async def sweep(settings: SweepSettings, every: float | None) -> None:
    """Sweep once, or repeat `every` so many seconds until SIGTERM.

    Raises SystemExit if a single sweep fails.
    """
    client = await connect(settings.bus, "sweep")
    minio = store.connect(settings.store)
    songs, stems = Bucket(minio, settings.store.songs), Bucket(minio, settings.store.stems)
    the_sweep = Sweep(client, songs, stems, settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set():
        try:
            log.info("swept", extra=await the_sweep.run())
        except (Problem, store.ObjectChanged, nats.errors.Error) as error:
            if not every or client.is_closed:
                raise SystemExit(f"the sweep failed: {error}") from error
            log.warning("sweep failed", extra={"reason": str(error)})
        except Exception:
            if not every:
                raise
            log.exception("sweep failed")
        if not every:
            break
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)
    await client.close()


async def _repaired(key: str | None, repair: Awaitable[int]) -> int:
    """Return what `repair` returns; 0, and a log line, if this one object cannot be handled.

    Raises RetryLater or nats.errors.Error if store or bus are away: then nothing can be handled.
    """
    try:
        return await repair
    except Exception as error:
        if _is_outage(error):
            raise
        log.error("object skipped: it cannot be handled", extra={"key": key, "reason": repr(error)})
        return 0


def _is_outage(error: Exception) -> bool:
    """Whether an error is not about one object or key: the store or the bus did not answer it."""
    if isinstance(error, RetryLater):
        return not isinstance(error.__cause__, S3Error)
    is_answer = isinstance(error, InvalidKeyError | APIError)
    return isinstance(error, nats.errors.Error | OSError) and not is_answer


def _done_jobs(records: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    """Return the done jobs that have stems, as far as is known, by the keys of their songs."""
    done: dict[str, list[JobRecord]] = defaultdict(list)
    for record in records:
        if record.state == JobState.DONE and not record.removed:
            done[record.key].append(record)
    return done


def _has_ended(record: JobRecord | None, song: ObjectCreated) -> bool:
    """Whether the song's job has ended for good: then a result that is missing was removed.

    A superseded job is not for good: its song was missing, and is there again.
    """
    if record is None or record.state not in FINISHED or record.state == JobState.SUPERSEDED:
        return False
    return not record.is_restarted_by(song.time)


def _ttl(jobs: KeyValue.BucketStatus) -> timedelta | None:
    """Return how long job records are kept; None if for ever."""
    return timedelta(seconds=jobs.ttl) if jobs.ttl else None


def _newest(*results: ResultDocument | None) -> ResultDocument | None:
    existing = [result for result in results if result]
    return max(existing, key=lambda result: result.modified, default=None)
