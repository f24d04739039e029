"""What the bridge would bring of a job that is divided: its ranges, and the song again."""

import asyncio

import nats

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.range_runner import run_range
from microdemucs.bus import RANGE_SUBJECT, REQUEUE_SUBJECT
from minio_events.routing import waiting_calls


class Asked:
    """The events that jobs put into the stream of songs, each given once."""

    def __init__(self, nats_url: str) -> None:
        self._url = nats_url
        self._seen = 0
        self.news()

    def news(self) -> list[Job]:
        """What was asked for since the last time, as the function hears it."""
        return asyncio.run(self._news())

    async def _news(self) -> list[Job]:
        client = await nats.connect(
            self._url,
            user="provision",
            password="provision-secret",
            inbox_prefix="_INBOX_provision",
        )
        js, found = client.jetstream(), []
        state = (await js.stream_info("SONGS")).state
        for number in range(self._seen + 1, state.last_seq + 1):
            message = await js.get_msg("SONGS", number)
            if message.subject in (RANGE_SUBJECT, REQUEUE_SUBJECT):
                found += waiting_calls(message.subject, message.data or b"", "songs")
        self._seen = state.last_seq
        await client.close()
        return [Job.of(call.event) for call in found]

    def serve(self, tools: Context) -> list[str]:
        """Do all that is asked for, until nothing is; what it was."""
        done = []
        while news := self.news():
            for job in news:
                done.append(f"range {job.part['range']['number']}" if job.part else "song")
                (run_range if job.part else run_job)(job, tools)
        return done
