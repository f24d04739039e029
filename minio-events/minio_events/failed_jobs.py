"""Record that a job failed because its message became a dead letter."""

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from microdemucs.events import ObjectCreated
from microdemucs.jobs import FINISHED, JobRecord, JobState, job_id
from microdemucs.manifest import BadDocument
from microdemucs.problems import Problem, now
from minio_events.routing import FunctionCall, trace_of


class FailedJobs:
    """Writes the last record of a job whose attempts are used up."""

    def __init__(self, jobs: KeyValue) -> None:
        self._jobs = jobs

    async def record(self, call: FunctionCall, reason: str) -> None:
        """Record the job of `call` as failed for `reason`, unless it has finished."""
        while call.song and not await self._try_to_record(call.song, call, reason):
            pass  # another writer came first: read the record again

    async def _try_to_record(self, song: ObjectCreated, call: FunctionCall, reason: str) -> bool:
        key = job_id(song)
        record, revision = JobRecord.of(song, trace=trace_of(call.event)), 0
        try:
            entry = await self._jobs.get(key)
            revision = entry.revision or 0
            record = JobRecord.read(entry.value or b"")
        except KeyNotFoundError as error:
            revision = (error.entry.revision or 0) if error.entry else 0
        except BadDocument:
            pass  # what cannot be read is replaced
        if record.state in FINISHED:
            return True
        problem = Problem(
            503,
            "given-up",
            "The job failed",
            f"{reason}; an operator can run it again: python -m minio_events dead-letters replay",
        )
        record.state, record.problem = JobState.FAILED, problem.body()
        record.updated = record.finished = now()
        try:
            await self._jobs.update(key, record.write(), last=revision)
        except KeyWrongLastSequenceError:
            return False
        return True
