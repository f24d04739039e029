"""GET /apiv1/jobs/<id>/events: a job's progress as server-sent events (HTML, section 9.2).

An event's id is the revision of the job record. A client that reconnects with Last-Event-ID gets
only what is new.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import flask
import msgspec

from functions.upload import connection
from functions.upload.context import Context, context
from functions.upload.jobs import job_document, unknown_job
from microdemucs import shutdown
from microdemucs.jobs import FINISHED, JobRecord

HEARTBEAT_S = 15.0
MAX_STREAM_S = 240.0
"""Less than the 300 s after which Knative ends a request: the client reconnects by itself."""
CHECK_S = 1.0
"""How often an idle stream checks for a shutdown and for a client that has disconnected."""
_POSSIBLE_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")

routes = flask.Blueprint("event_stream", __name__)


@routes.get("/apiv1/jobs/<id_>/events")
def stream_events(id_: str) -> flask.Response:
    """Stream a job's state and progress until it finishes; the job need not exist yet."""
    ctx = context()
    ctx.jobs.ensure_loaded()
    found = ctx.jobs.find(id_)
    if found is None and not _POSSIBLE_ID.fullmatch(id_):
        raise unknown_job(id_)
    last_event_id = parse_last_event_id(flask.request.headers.get("Last-Event-ID", ""))
    if found and found.revision == last_event_id and found.record.state in FINISHED:
        return flask.Response(status=204)  # an EventSource then stops reconnecting
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    events = _events(ctx, request, id_, last_event_id)
    return ctx.streams.response(events, "text/event-stream", "poll the job instead")


def parse_last_event_id(text: str) -> int:
    """Return the revision in a Last-Event-ID header, or 0 if it holds none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _events(ctx: Context, request: flask.Request, id_: str, last_event_id: int) -> Iterator[str]:
    started = idle_since = time.monotonic()
    state = ""
    yield "retry: 2000\n\n"
    while time.monotonic() - started < MAX_STREAM_S and not shutdown.stopping.is_set():
        if connection.is_disconnected(request):
            return
        changed = ctx.jobs.wait_for_change(id_, last_event_id, CHECK_S)
        if changed is None:
            if time.monotonic() - idle_since >= HEARTBEAT_S:
                idle_since = time.monotonic()
                yield ": heartbeat\n\n"
            continue
        job, last_event_id = changed
        idle_since = time.monotonic()
        if job.state != state:
            state = job.state
            yield _event("state", last_event_id, job_document(ctx, job))
        else:
            yield _event("progress", last_event_id, _progress(job))
        if state in FINISHED:
            return


def _progress(job: JobRecord) -> dict[str, Any]:
    progress = {
        "id": job.id,
        "state": job.state,
        "phase": job.phase,
        "progress": job.progress,
        "updated": job.updated,
    }
    return progress | ({"estimate": msgspec.to_builtins(job.estimate)} if job.estimate else {})


def _event(name: str, revision: int, data: dict[str, Any]) -> str:
    return f"event: {name}\nid: {revision}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
