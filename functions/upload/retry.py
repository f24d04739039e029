"""POST /apiv1/jobs/<id>/retry: separate a song again, with the options of its job.

The song stays where it is: the job's record waits again, and the bridge gets a message as for a job
whose ranges are done. If this process ends in between, the sweep finds a song without a result.
"""

import time
from typing import Any

import flask

from functions.upload import models, removal
from functions.upload.context import context
from functions.upload.jobs import find_job
from microdemucs.bus import JOBS, REQUEUE_SUBJECT, Entry, RevisionConflict
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, JobState
from microdemucs.messages import Requeue
from microdemucs.options import BadOption, Options
from microdemucs.problems import Problem, now
from microdemucs.submitters import METADATA_NAME, submitter_of

routes = flask.Blueprint("retry", __name__)


@routes.post("/apiv1/jobs/<id_>/retry")
def retry_job(id_: str) -> tuple[dict[str, Any], int]:
    """Queue a failed or cancelled job again, or a done one whose stems were removed."""
    ctx = context()
    job, revision = find_job(ctx, id_)
    if not can_be_retried(job):
        raise _not_retryable(job)
    if not removal.has_song(ctx, job):
        raise Problem(
            409,
            "song-gone",
            "The song is not there any more",
            "it was removed or replaced: send it again",
        )
    _check_model(job)
    song = song_of(job, now())
    waiting = JobRecord.of(song)
    removal.remove_failure(ctx, job)  # first: without one the sweep finds what is left undone
    try:
        written = ctx.bus.update(JOBS, job.id, waiting.write(), revision)
    except RevisionConflict:
        raise _not_retryable(find_job(ctx, job.id).record) from None
    ctx.jobs.apply_own_write(Entry(job.id, waiting.write(), written))
    unique = f"{time.time_ns():x}"
    message = Requeue.of(song, f"retry-{unique}", trace="")
    ctx.bus.publish(REQUEUE_SUBJECT, message.write(), f"{job.id}.{unique}")
    return {"id": job.id, "state": waiting.state, "reason": "queued"}, 202


def _check_model(job: JobRecord) -> None:
    """Raise BadOption if the job's model cannot be used. Other options fail again in the job."""
    try:
        options = Options.of_request(job.options)
    except BadOption:
        return
    models.ensure_usable(options)


def can_be_retried(job: JobRecord) -> bool:
    """Return whether the job has no stems, and nobody is about to make them."""
    is_empty = job.state == JobState.DONE and bool(job.removed)
    return is_empty or job.state in (JobState.FAILED, JobState.CANCELLED)


def song_of(job: JobRecord, sent: str) -> ObjectCreated:
    """Return the song of the job as a notification would describe it that came at `sent`.

    It has no callback: each request with one has had its answer.
    """
    metadata = _option_metadata(job.options)
    if submitter_of(job.key, {}) != job.submitter:
        metadata[METADATA_NAME] = job.submitter
    return ObjectCreated(
        bucket=job.bucket,
        key=job.key,
        size=job.size,
        etag=job.etag,
        version=job.version,
        time=sent,
        content_type="audio/*",  # so that it counts as a song, whatever its suffix
        metadata=metadata,
    )


def _option_metadata(options: dict[str, Any]) -> dict[str, str]:
    """Return the metadata with these options; those that cannot be parsed stay as written."""
    try:
        return Options.of_request(options).metadata()
    except BadOption:
        return {name: str(value) for name, value in options.items()}


def _not_retryable(job: JobRecord) -> Problem:
    return Problem(
        409,
        "not-retryable",
        "The job cannot be repeated",
        f"its state is {job.state}; it must be failed or cancelled, or its stems removed",
    )
