"""Show that a song has arrived: a job that waits, for the queue and the web page to see.

The record is a view, so it is made by a process of its own, beside the way of the song: it never
holds the song up, nor takes the bridge's time.
"""

from contextlib import suppress

from nats.aio.client import Client
from nats.js.errors import KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from microdemucs import bus
from microdemucs.events import MalformedMessage
from microdemucs.jobs import JobRecord
from minio_events.daemon import bucket, serve
from minio_events.dedup import Deduplicator
from minio_events.pull import InFlight, PullConsumer
from minio_events.routing import song_calls, trace_of
from minio_events.settings import IntakeSettings

_PLACES = 64


class Intake:
    """Writes the first record of each job."""

    def __init__(self, jobs: KeyValue, songs: str) -> None:
        self._jobs = jobs
        self._songs = songs
        self._seen = Deduplicator()

    async def __call__(self, held: InFlight) -> None:
        """Record each song that a notification tells of as waiting, unless it is known."""
        calls = []
        if held.msg.subject == bus.SONGS_SUBJECT:  # ranges are of songs that are known
            with suppress(MalformedMessage):  # the bridge tells of it
                calls = song_calls(held.msg.data, self._songs)
        number = held.msg.metadata.sequence.stream
        for call in calls:
            if call.song and not self._seen.is_duplicate(call.same, number):
                record = JobRecord.of(call.song, trace=trace_of(call.event))
                with suppress(KeyWrongLastSequenceError):  # the sweep's news of it
                    await self._jobs.create(record.id, record.write())
        await held.msg.ack()


async def intake(settings: IntakeSettings) -> None:
    """Run until SIGTERM. Raises SystemExit with what to do."""

    async def work(client: Client) -> None:
        jobs = await bucket(client, bus.JOBS)
        pull = PullConsumer(client, bus.SONGS, "intake", _PLACES)
        await pull.run(Intake(jobs, settings.songs))

    await serve("intake", settings.bus, work)
