"""The routes of jobs: list jobs, get one, cancel or remove one; the queue of unfinished songs."""

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import flask
import msgspec

from functions.upload import removal
from functions.upload.context import Context, context
from functions.upload.jobs_view import VersionedRecord, change_record, song_hash
from functions.upload.json_documents import bad_value, describe, unknown_parameter
from functions.upload.queue_order import queue_order
from functions.upload.share_links import Grant
from microdemucs.bus import CANCELS
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.plain_numbers import whole_number
from microdemucs.problems import Cancelled, Problem, now
from microdemucs.result_store import read_manifest

_DEFAULT_LIMIT, _MAX_LIMIT = 50, 500
_CURSOR = re.compile(r"[A-Za-z0-9_-]{4,}")
_SHARED_MEMBERS = (
    *("id", "key", "state", "options", "model", "warnings", "song", "removed"),
    *("created", "finished"),
)
_SHARED_LINKS = ("self", "peaks", "cover", "zip")
_PARAMETERS = ("state", "key", "prefix", "limit", "cursor")

routes = flask.Blueprint("jobs", __name__)


@routes.get("/apiv1/jobs")
def list_jobs() -> dict[str, Any]:
    """Return a page of jobs, newest first, filtered by state, key and prefix of the key."""
    ctx = context()
    ctx.jobs.ensure_loaded()
    query = flask.request.args
    for name in query:
        if name not in _PARAMETERS:
            raise unknown_parameter(name, _PARAMETERS)
    states = _parse_states(query.get("state", ""))
    limit = _parse_limit(query.get("limit", str(_DEFAULT_LIMIT)))
    key, prefix = query.get("key"), query.get("prefix", "")
    before = _parse_cursor(query["cursor"]) if query.get("cursor") else None
    matches = sorted(
        (
            job
            for job in ctx.jobs.records()
            if job.state in states
            and (key is None or job.key == key)
            and job.key.startswith(prefix)
            and (before is None or (job.created, job.id) < before)
        ),
        key=lambda job: (job.created, job.id),
        reverse=True,
    )
    page = matches[:limit]
    return {
        "jobs": [job_document(ctx, job) for job in page],
        "next": _cursor_after(page[-1]) if len(matches) > limit else None,
    }


@routes.get("/apiv1/jobs/<id_>")
def get_job(id_: str) -> dict[str, Any]:
    """Return one job, by its id, its upload's id or its song's hash, with the stems that exist."""
    ctx = context()
    job, existing = removal.notice_removal(ctx, find_job(ctx, id_).record)
    grant: Grant | None = flask.g.get("grant")
    document = job_document(ctx, job) if grant is None else shared_document(ctx, job, grant)
    return document | {"stems": [stem for stem in document["stems"] if stem["file"] in existing]}


@routes.delete("/apiv1/jobs/<id_>")
def delete_job(id_: str) -> tuple[dict[str, Any], int]:
    """Cancel a waiting or running job; remove the stems of a finished one, unless cancel_only."""
    ctx = context()
    flags = _parse_flags(flask.request.args, ("song", "cancel_only"))
    is_song_too = flags["song"]
    job = find_job(ctx, id_).record
    if job.state in FINISHED and flags["cancel_only"]:
        raise _job_finished(job)
    if job.state in FINISHED:
        job = removal.remove_results(ctx, job)
        is_song_removed = is_song_too and removal.remove_song(ctx, job)
        answer = {"removed": job.removed, "song_removed": is_song_removed}
        return {"id": job.id, "state": job.state, "reason": "removed"} | answer, 200
    if is_song_too:
        raise bad_value("song", "true", "only false as long as the job has not finished")
    job = _request_cancellation(ctx, job)
    reason = "cancelled" if job.state == JobState.CANCELLED else "cancel requested"
    return {"id": job.id, "state": job.state, "reason": reason}, 202


@routes.get("/apiv1/queue")
def get_queue() -> dict[str, list[str]]:
    """Return the hashes of the songs that are being separated, then of those that wait in turns."""
    ctx = context()
    ctx.jobs.ensure_loaded()
    unfinished = queue_order(ctx.jobs.records())
    return {"queue": list(dict.fromkeys(map(song_hash, unfinished)))}


def find_job(ctx: Context, name: str) -> VersionedRecord:
    """Return the job with this id, or of this upload or song hash. Raises Problem (404, 503)."""
    ctx.jobs.ensure_loaded()
    found = ctx.jobs.find(name)
    if found is None:
        raise unknown_job(name)
    return found


def unknown_job(name: str) -> Problem:
    """Return the Problem (404) of a name that no job has."""
    return Problem(
        404,
        "unknown-job",
        "There is no such job",
        f"no job, upload or song is named {describe(name)}: "
        "its song has not arrived, or its record has expired",
    )


def job_document(ctx: Context, job: JobRecord) -> dict[str, Any]:
    """Return `job` as the API shows it: the record, with stems as links, and related routes."""
    hash_ = song_hash(job)
    path = f"/apiv1/jobs/{job.id}"
    links = {"self": path, "events": f"{path}/events"}
    if job.state not in FINISHED:
        links["cancel"] = path
    if job.state not in FINISHED or (job.state == JobState.DONE and not job.removed):
        links["peaks"] = f"{path}/peaks"
    if job.state == JobState.DONE and not job.removed:
        links["zip"] = f"{path}/stems.zip"
        if "cover" in job.song:
            links["cover"] = f"{path}/cover"
    record: dict[str, Any] = msgspec.to_builtins(job)
    expected = ctx.queue.current().of(job)
    return record | {
        "position": expected.position,
        "seconds_left": expected.seconds_left,
        "hash": hash_,
        "stems": [
            _stem(ctx, job, hash_, file, 3600 * ctx.settings.link_hours) for file in job.stems
        ],
        "links": links,
    }


def shared_document(ctx: Context, job: JobRecord, grant: Grant) -> dict[str, Any]:
    """Return what a share link shows of a job. Its links to stems end with the link.

    Stems that a later job of the song has written are not shown.
    """
    document = job_document(ctx, job)
    manifest = read_manifest(ctx.stems, job.key)
    files = job.stems if manifest and manifest.job == job.id else []
    seconds = min(3600 * ctx.settings.link_hours, max(1, grant.expires - time.time()))
    stems = [_stem(ctx, job, job.id, file, seconds) for file in files]
    links = {name: path for name, path in document["links"].items() if name in _SHARED_LINKS}
    shared = {name: document[name] for name in _SHARED_MEMBERS}
    return shared | {"hash": job.id, "stems": stems, "links": links}


def download_name(song_key: str, file: str) -> str:
    """Return the file name of what is downloaded of a song."""
    return f"{PurePosixPath(song_key).stem} - {file}"


def content_disposition(kind: str, song_key: str, file: str) -> str:
    """Return the header (RFC 6266) with a stem's file name; `kind` is inline or attachment."""
    return f"{kind}; {_file_name(download_name(song_key, file))}"


def attachment(name: str) -> str:
    """Return the header Content-Disposition of a file that is downloaded with this name."""
    return f"attachment; {_file_name(name)}"


def _file_name(name: str) -> str:
    ascii_name = re.sub(r"[^ !#-\[\]-~]", "_", name)  # for clients that do not read filename*
    return f"filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


def _request_cancellation(ctx: Context, job: JobRecord) -> JobRecord:
    """Request that the job ends, unless it has finished meanwhile; return its record."""
    time = now()
    ctx.bus.put(CANCELS, job.id, time.encode())
    job = change_record(ctx.bus, ctx.jobs, job.id, lambda record: _cancel(record, time)) or job
    if job.state in FINISHED and job.cancel_requested != time:
        ctx.bus.delete(CANCELS, job.id)  # it came too late, and is not for the job's next run
    return job


def _cancel(record: JobRecord, time: str) -> bool:
    """Record a cancel request; a job that nobody works on is cancelled by it.

    Return whether it changes any record.
    """
    if record.state in FINISHED:
        return False
    record.cancel_requested = record.updated = time
    if record.state == JobState.WAITING or not record.phase:  # its ranges wait, or run again later
        record.state, record.finished = JobState.CANCELLED, time
        record.problem = Cancelled(time).body()
    return True


def _stem(ctx: Context, job: JobRecord, hash_: str, file: str, seconds: float) -> dict[str, str]:
    disposition = content_disposition("attachment", job.key, file)
    return {
        "name": PurePosixPath(file).stem,
        "file": file,
        "url": f"/apiv1/track/{hash_}/{quote(file)}",
        "download": ctx.public_stems.presigned_url(
            f"{job.key}/{file}",
            timedelta(seconds=seconds),
            {"response-content-disposition": disposition},
        ),
    }


def _job_finished(job: JobRecord) -> Problem:
    return Problem(
        409,
        "job-finished",
        "The job has finished",
        f"its state is {job.state}; without cancel_only the same request removes its results",
    )


def _parse_flags(query: Mapping[str, str], names: tuple[str, ...]) -> dict[str, bool]:
    for name in query:
        if name not in names:
            raise unknown_parameter(name, names)
    return {name: _parse_flag(name, query.get(name, "false")) for name in names}


def _parse_flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise bad_value(name, value, "true or false")
    return value == "true"


def _parse_states(text: str) -> set[str]:
    states = set(filter(None, text.split(",")))
    if not states <= set(JobState):
        accepts = f"one or more of {', '.join(JobState)}, separated by commas"
        raise bad_value("state", text, accepts)
    return states or set(JobState)


def _parse_limit(text: str) -> int:
    limit = whole_number(text)
    if limit is None or not 1 <= limit <= _MAX_LIMIT:
        raise bad_value("limit", text, f"a whole number from 1 to {_MAX_LIMIT}")
    return limit


def _cursor_after(job: JobRecord) -> str:
    return urlsafe_b64encode(f"{job.created} {job.id}".encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> tuple[str, str]:
    """Return the `created` and `id` of the last job of the page before."""
    try:
        if not _CURSOR.fullmatch(text):
            raise ValueError
        created, id_ = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ")
    except ValueError:
        raise bad_value("cursor", text, "the value of `next` in the page before") from None
    return created, id_
