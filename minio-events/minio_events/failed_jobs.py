"""End a job whose message became a dead letter: record it, and inform webhooks and callback.

The bridge has no user in the store, so such a job has no failure.json. Webhooks and the callback
learn of it by messages `finished`, which hold the failure.
"""

import hashlib
from typing import Any

from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from microdemucs.bus import FINISHED_SUBJECT
from microdemucs.events import ObjectCreated
from microdemucs.jobs import FINISHED, JobRecord, JobState, job_id
from microdemucs.manifest import BadDocument, Failure, StoredSong, failure_key
from microdemucs.messages import Finished
from microdemucs.problems import Problem, now
from microdemucs.webhooks import is_callback_id
from minio_events.routing import FunctionCall, trace_of

_TYPE = Problem(503, "given-up", "The job failed", "").body()["type"]


class FailedJobs:
    """Ends jobs whose attempts are used up; `jobs` is the key-value bucket of job records."""

    def __init__(self, client: Client, jobs: KeyValue) -> None:
        self._js = client.jetstream()
        self._jobs = jobs

    async def end(self, call: FunctionCall, reason: str) -> None:
        """Record the job of `call` as failed for `reason`, unless it has finished, and publish it.

        The event's callback always gets a message: nobody handles this event any more. Webhooks get
        one if the job has failed for such a reason. A second time publishes the same messages.
        Raises nats.errors.Error.
        """
        if not call.song:
            return
        record = None
        while record is None:
            record = await self._try_to_record(call.song, call, reason)
        given_up = record.problem if (record.problem or {}).get("type") == _TYPE else None
        failure = _failure_of(record, given_up or _problem(reason))
        if given_up:
            await self._publish(failure, "")
        callback = call.song.metadata.get("callback", "")
        if is_callback_id(callback):
            await self._publish(failure, callback)

    async def _try_to_record(
        self, song: ObjectCreated, call: FunctionCall, reason: str
    ) -> JobRecord | None:
        """Return the job's last record; None if another writer came first: read it again."""
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
            return record
        record.state, record.problem = JobState.FAILED, _problem(reason)
        record.updated = record.finished = now()
        try:
            await self._jobs.update(key, record.write(), last=revision)
        except KeyWrongLastSequenceError:
            return None
        return record

    async def _publish(self, failure: Failure, callback: str) -> None:
        document = failure.write()
        message = Finished(
            job=failure.job,
            callback=callback,
            key=failure_key(failure.song.key),
            document=document.decode(),
            trace=failure.trace,
        )
        id_ = f"{failure.job}.{callback}.{hashlib.sha256(document).hexdigest()[:32]}:given-up"
        await self._js.publish(FINISHED_SUBJECT, message.write(), headers={"Nats-Msg-Id": id_})


def _problem(reason: str) -> dict[str, Any]:
    return Problem(
        503,
        "given-up",
        "The job failed",
        f"{reason}; an operator can run it again: python -m minio_events dead-letters replay",
    ).body()


def _failure_of(record: JobRecord, problem: dict[str, Any]) -> Failure:
    song = StoredSong(
        bucket=record.bucket,
        key=record.key,
        etag=record.etag,
        version=record.version,
        size=record.size,
    )
    return Failure(
        problem=problem,
        job=record.id,
        trace=record.trace,
        song=song,
        options=record.options,
        created=record.created,
        started=record.started,
        finished=record.finished or now(),
    )
