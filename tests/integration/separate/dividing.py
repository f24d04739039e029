"""What the bridge would bring of a job that is divided: its ranges, and the song again."""

import nats

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.range_runner import run_range
from microdemucs.bus import RANGE_SUBJECT, REQUEUE_SUBJECT
from microdemucs.messages import RangeRequest
from minio_events.routing import waiting_calls
from testing.stack import Stack


def serve(job: Job, context: Context) -> str:
    """Do what `job` asks for; what it was."""
    request = job.range_request
    if isinstance(request, RangeRequest):
        run_range(job, request, context)
        return f"range {request.range.number}"
    run_job(job, context)
    return "song"


class Asked:
    """The events that jobs put into the stream of songs, each given once."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen = 0
        self.news()

    def news(self) -> list[Job]:
        """What was asked for since the last time, as the function hears it."""
        return self._stack.on_bus("provision", self._news)

    async def _news(self, client: nats.NATS) -> list[Job]:
        js, found = client.jetstream(), []
        state = (await js.stream_info("SONGS")).state
        for number in range(self._seen + 1, state.last_seq + 1):
            message = await js.get_msg("SONGS", number)
            if message.subject in (RANGE_SUBJECT, REQUEUE_SUBJECT):
                found += waiting_calls(message.subject, message.data or b"", "songs")
        self._seen = state.last_seq
        return [Job.of(call.event) for call in found]

    def serve(self, context: Context) -> list[str]:
        """Do all that is asked for, until nothing is; what it was."""
        done = []
        while news := self.news():
            for job in news:
                done.append(serve(job, context))
        return done
