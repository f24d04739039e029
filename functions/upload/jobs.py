"""What became of songs: list jobs, look at one, cancel one."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import flask
import msgspec

from functions.upload.context import Context, context
from functions.upload.jobs_view import VersionedRecord, song_hash
from functions.upload.json_documents import bad
from microdemucs.bus import CANCELS
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.problems import Problem, now

_PAGE, _MOST = 50, 500

routes = flask.Blueprint("jobs", __name__)


@routes.get("/apiv1/jobs")
def list_() -> dict[str, Any]:
    """Jobs, newest first: of some states, of one key, of keys with a prefix; page by page."""
    ctx = context()
    ctx.jobs.check()
    asked = flask.request.args
    for name in asked:
        if name not in ("state", "key", "prefix", "limit", "cursor"):
            raise bad(name[:80], "left out: the parameters are state, key, prefix, limit, cursor")
    states, limit = _states(asked.get("state", "")), _limit(asked.get("limit", str(_PAGE)))
    key, prefix = asked.get("key"), asked.get("prefix", "")
    before = _place(asked["cursor"]) if asked.get("cursor") else None
    found = sorted(
        (
            job
            for job in ctx.jobs.all()
            if job.state in states
            and (key is None or job.key == key)
            and job.key.startswith(prefix)
            and (before is None or (job.created, job.id) < before)
        ),
        key=lambda job: (job.created, job.id),
        reverse=True,
    )
    page = found[:limit]
    return {
        "jobs": [shown(ctx, job) for job in page],
        "next": _cursor(page[-1]) if len(found) > limit else None,
    }


@routes.get("/apiv1/jobs/<id_>")
def one(id_: str) -> dict[str, Any]:
    """One job, by its id, its upload's id or its song's hash."""
    ctx = context()
    return shown(ctx, find(ctx, id_).record)


@routes.delete("/apiv1/jobs/<id_>")
def cancel(id_: str) -> tuple[dict[str, Any], int]:
    """Ask whoever separates it to stop, or not to begin."""
    ctx = context()
    job = find(ctx, id_).record
    if job.state in FINISHED:
        raise Problem(
            409,
            "job-finished",
            "The job has finished",
            f"it is {job.state}: nothing can be cancelled",
            state=job.state,
        )
    ctx.bus.put(CANCELS, job.id, now().encode())
    return {"id": job.id, "state": job.state, "reason": "cancel requested"}, 202


@routes.get("/apiv1/queue")
def queue() -> dict[str, list[str]]:
    """The songs that wait or are worked on, oldest first: what to name them by elsewhere."""
    ctx = context()
    ctx.jobs.check()
    pending = [job for job in ctx.jobs.all() if job.state in (JobState.WAITING, JobState.RUNNING)]
    pending.sort(key=lambda job: (job.created, job.id))
    return {"queue": list(dict.fromkeys(map(song_hash, pending)))}


def find(ctx: Context, id_: str) -> VersionedRecord:
    """The job that `id_` means. Raises Problem."""
    ctx.jobs.check()
    found = ctx.jobs.find(id_)
    if found is None:
        raise unknown_job()
    return found


def unknown_job() -> Problem:
    """What to raise where no job has the id that was asked for."""
    return Problem(
        404,
        "unknown-job",
        "There is no such job",
        "its song has not arrived, or the job is older than is remembered",
    )


def shown(ctx: Context, job: JobRecord) -> dict[str, Any]:
    """`job` as the API tells it: the record, and where to go from it."""
    hash_ = song_hash(job)
    own = f"/apiv1/jobs/{job.id}"
    links = {"self": own, "events": f"{own}/events"}
    record: dict[str, Any] = msgspec.to_builtins(job)
    return record | {
        "hash": hash_,
        "stems": [_stem(ctx, job, hash_, file) for file in job.stems],
        "links": links | ({} if job.state in FINISHED else {"cancel": own}),
    }


def _stem(ctx: Context, job: JobRecord, hash_: str, file: str) -> dict[str, str]:
    download = ctx.links.presigned_get_object(
        ctx.names.stems,
        f"{job.key}/{file}",
        expires=timedelta(hours=ctx.settings.link_hours),
        response_headers={"response-content-disposition": disposition("attachment", job.key, file)},
    )
    return {
        "name": PurePosixPath(file).stem,
        "file": file,
        "url": f"/apiv1/track/{hash_}/{quote(file)}",
        "download": download,
    }


def disposition(how: str, song_key: str, file: str) -> str:
    """The header that says what a stem's file is to be called on a disk (RFC 6266)."""
    name = f"{PurePosixPath(song_key).stem} - {file}"
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)  # for those that do not read filename*
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _states(given: str) -> set[str]:
    states = set(filter(None, given.split(",")))
    if not states <= set(JobState):
        raise bad("state", f"some of {', '.join(JobState)}, separated by commas")
    return states or set(JobState)


def _limit(given: str) -> int:
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:9]) <= _MOST:
        raise bad("limit", f"a whole number, 1 to {_MOST}")
    return int(given)


def _cursor(job: JobRecord) -> str:
    return urlsafe_b64encode(f"{job.created} {job.id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, str]:
    try:
        created, id_ = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
    except ValueError:
        raise bad("cursor", "what an answer gave as next") from None
    return created, id_
