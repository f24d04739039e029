"""Show that a song has arrived: a job that waits, for the queue and the web page to see.

The record is a view, so it is made beside the way of the song and never holds it up.
"""

from contextlib import suppress

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from microdemucs.events import MalformedNotification, ObjectCreated
from microdemucs.jobs import FAILED, FINISHED, JobRecord, job_id
from microdemucs.problems import Problem, now
from minio_events.calls import Call, song_calls, trace_of
from minio_events.pull import Held
from minio_events.seen import Seen


class Intake:
    """Writes the first, and for a job that is given up the last, record of a job."""

    def __init__(self, jobs: KeyValue, bucket: str) -> None:
        self._jobs = jobs
        self._bucket = bucket
        self._seen = Seen()

    async def __call__(self, held: Held) -> None:
        """Record each song that a notification tells of as waiting, unless it is known."""
        try:
            calls = song_calls(held.msg.data, self._bucket)
        except MalformedNotification:
            calls = []  # the bridge tells of it
        number = held.msg.metadata.sequence.stream
        for call in calls:
            if call.song and not self._seen.is_copy(call.same, number):
                record = JobRecord.of(call.song, trace=trace_of(call.event))
                with suppress(KeyWrongLastSequenceError):  # the sweep's news of it
                    await self._jobs.create(record.id, record.write())
        await held.msg.ack()

    async def given_up(self, call: Call, reason: str) -> None:
        """Record that the job of `call` failed until somebody replays its dead letter."""
        while call.song and not await self._put_given_up(call.song, call, reason):
            pass  # somebody wrote in between: look at it again

    async def _put_given_up(self, song: ObjectCreated, call: Call, reason: str) -> bool:
        key = job_id(song)
        try:
            entry = await self._jobs.get(key)
            record = JobRecord.read(entry.value or b"{}")
            revision = entry.revision or 0
        except KeyNotFoundError as error:
            record = JobRecord.of(song, trace=trace_of(call.event))
            revision = (error.entry.revision or 0) if error.entry else 0
        if record.state in FINISHED:
            return True
        problem = Problem(
            503,
            "given-up",
            "The song was tried several times and is set aside",
            f"{reason}; an operator can send it again: python -m minio_events deadletters",
        )
        record.state, record.problem = FAILED, problem.body()
        record.updated = record.finished = now()
        try:
            await self._jobs.update(key, record.write(), last=revision)
        except KeyWrongLastSequenceError:
            return False
        return True
