"""GET /apiv1/jobs/<id>/events: a job as it goes on, as server-sent events (HTML, section 9.2).

The id of an event is the revision of the job's record, so that a listener who comes back with
Last-Event-ID hears nothing twice.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import flask

from functions.upload import connection
from functions.upload.context import Context, context
from functions.upload.jobs import shown, unknown_job
from microdemucs import shutdown
from microdemucs.jobs import FINISHED, JobRecord
from microdemucs.problems import RetryLater

HEARTBEAT_S = 15.0
# Less than the 300 s after which Knative cuts a request: the listener comes back by itself.
STREAM_S = 240.0
_NOTICE_STOP_S = 1.0
_MAY_COME = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")

routes = flask.Blueprint("progress", __name__)


@routes.get("/apiv1/jobs/<id_>/events")
def events(id_: str) -> flask.Response:
    """State and progress of one job until it has finished; it may be one that is yet to come."""
    ctx = context()
    ctx.jobs.check()
    found = ctx.jobs.find(id_)
    if found is None and not _MAY_COME.fullmatch(id_):
        raise unknown_job()
    heard = _revision(flask.request.headers.get("Last-Event-ID", ""))
    if found and found.revision == heard and found.record.state in FINISHED:
        return flask.Response(status=204)  # what tells an EventSource not to come back
    if not ctx.streams.acquire(blocking=False):
        raise RetryLater("too-many-streams", "Too many listeners now: ask for the job instead")
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    told = flask.Response(_tell(ctx, request, id_, heard), mimetype="text/event-stream")
    told.call_on_close(ctx.streams.release)
    told.headers["X-Accel-Buffering"] = "no"  # nginx would keep the events back
    return told


def _tell(ctx: Context, request: flask.Request, id_: str, heard: int) -> Iterator[str]:
    began = silent_since = time.monotonic()
    state = ""
    yield "retry: 2000\n\n"
    while time.monotonic() - began < STREAM_S and not shutdown.stopping.is_set():
        if connection.is_gone(request):
            return
        seen = ctx.jobs.wait(id_, heard, _NOTICE_STOP_S)
        if seen is None:
            if time.monotonic() - silent_since >= HEARTBEAT_S:
                silent_since = time.monotonic()
                yield ": still here\n\n"
            continue
        job, heard = seen
        silent_since = time.monotonic()
        if job.state != state:
            state = job.state
            yield _event("state", heard, shown(ctx, job))
        else:
            yield _event("progress", heard, _progress(job))
        if state in FINISHED:
            return


def _progress(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "phase": job.phase,
        "progress": job.progress,
        "updated": job.updated,
    }


def _event(name: str, revision: int, data: dict[str, Any]) -> str:
    return f"event: {name}\nid: {revision}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _revision(given: str) -> int:
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else 0
