"""The intake: records each song that arrives as a waiting job, for the API and the web page.

A song that is sent again after its job failed, was cancelled or was superseded waits again.

The record is only a view, so a process of its own writes it: the song does not wait for it, and
the bridge spends no time on it.
"""

from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from microdemucs import bus
from microdemucs.events import MalformedMessage
from microdemucs.jobs import JobRecord
from minio_events.daemon import serve, wait_for_bucket
from minio_events.dedup import Deduplicator
from minio_events.pull import InFlight, PullConsumer
from minio_events.routing import FunctionCall, song_calls, trace_of
from minio_events.settings import IntakeSettings

_CONCURRENCY = 64


class Intake:
    """Writes the first record of each job; `songs` is the input bucket."""

    def __init__(self, jobs: KeyValue, songs: str) -> None:
        self._jobs = jobs
        self._songs = songs
        self._deduplicator = Deduplicator()

    async def handle(self, message: InFlight) -> None:
        """Record the job of each song in the message as waiting.

        An existing record stays, unless this event starts the finished job again.
        """
        for call in self._read_calls(message):
            is_duplicate = self._deduplicator.is_duplicate(call.deduplication_key, message.number)
            if call.song and not is_duplicate:
                record = JobRecord.of(call.song, trace=trace_of(call.event))
                while not await self._try_to_write(record):
                    pass  # another writer came first: read the existing record again
        await message.msg.ack()

    async def _try_to_write(self, record: JobRecord) -> bool:
        try:
            await self._jobs.create(record.id, record.write())
        except KeyWrongLastSequenceError:
            return await self._try_to_restart(record)
        return True

    async def _try_to_restart(self, record: JobRecord) -> bool:
        """Replace the job's existing record, if the event of `record` starts the job again."""
        try:
            entry = await self._jobs.get(record.id)
        except KeyNotFoundError:
            return False
        existing = JobRecord.read_or_none(entry.value)  # one that cannot be read is replaced
        if existing and not existing.is_restarted_by(record.created):
            return True
        try:
            await self._jobs.update(record.id, record.write(), last=entry.revision)
        except KeyWrongLastSequenceError:
            return False
        return True

    def _read_calls(self, message: InFlight) -> list[FunctionCall]:
        if message.msg.subject != bus.SONGS_SUBJECT:  # ranges and requeued songs have a record
            return []
        try:
            return song_calls(message.msg.data, self._songs)
        except MalformedMessage:
            return []  # the bridge dead-letters it


async def intake(settings: IntakeSettings) -> None:
    """Run until SIGTERM. Raises SystemExit with what to do."""

    async def work(client: Client) -> None:
        jobs = await wait_for_bucket(client, bus.JOBS)
        consumer = PullConsumer(client, bus.SONGS, "intake", _CONCURRENCY)
        await consumer.run(Intake(jobs, settings.songs).handle)

    await serve("intake", settings.bus, work)
