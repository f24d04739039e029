"""Write down that a song was given up: its job failed, until somebody replays its dead letter."""

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from microdemucs.events import ObjectCreated
from microdemucs.jobs import FINISHED, JobRecord, JobState, job_id
from microdemucs.problems import Problem, now
from minio_events.routing import FunctionCall, trace_of


class FailedJobs:
    """Puts the last record of a job that was tried enough."""

    def __init__(self, jobs: KeyValue) -> None:
        self._jobs = jobs

    async def __call__(self, call: FunctionCall, reason: str) -> None:
        """Record the job of `call` as failed for `reason`, unless it has come to an end."""
        while call.song and not await self._put(call.song, call, reason):
            pass  # somebody wrote in between: look at it again

    async def _put(self, song: ObjectCreated, call: FunctionCall, reason: str) -> bool:
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
        record.state, record.problem = JobState.FAILED, problem.body()
        record.updated = record.finished = now()
        try:
            await self._jobs.update(key, record.write(), last=revision)
        except KeyWrongLastSequenceError:
            return False
        return True
