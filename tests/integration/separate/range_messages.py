"""The messages that jobs of divided songs publish, delivered to the function as the bridge does."""

from typing import Any

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.range_runner import run_range
from microdemucs.bus import RANGE_SUBJECT, REQUEUE_SUBJECT
from microdemucs.messages import RangeRequest
from minio_events.routing import separate_calls
from testing.stack import Stack


def number_of(job: Job) -> int:
    """Return the number of the range that `job` requests."""
    assert isinstance(job.range_request, RangeRequest)
    return job.range_request.range.number


def run(job: Job, context: Context) -> str:
    """Run what `job` requests, and return what that was."""
    if job.range_request:
        run_range(job, job.range_request, context)
        return f"range {number_of(job)}"
    run_job(job, context)
    return "song"


class RangeMessages:
    """The range and requeue messages in the stream of songs; each is returned once."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._last = 0
        self.read_new()

    def read_new(self) -> list[Job]:
        """Return the jobs that were requested since the last call."""

        async def read(client: Any) -> list[Job]:
            stream, calls = client.jetstream(), []
            state = (await stream.stream_info("SONGS")).state
            for number in range(self._last + 1, state.last_seq + 1):
                message = await stream.get_msg("SONGS", number)
                if message.subject in (RANGE_SUBJECT, REQUEUE_SUBJECT):
                    calls += separate_calls(message.subject, message.data or b"", "songs")
            self._last = state.last_seq
            return [Job.of(call.event) for call in calls]

        jobs: list[Job] = self._stack.on_bus("provision", read)
        return jobs

    def run_all(self, context: Context) -> list[str]:
        """Run all that is requested until nothing more is, and return what that was."""
        done = []
        while jobs := self.read_new():
            done += [run(job, context) for job in jobs]
        return done
