"""GET /apiv1/events and /apiv1/jobs/<id>/events: progress as server-sent events (HTML, 9.2).

A client that reconnects with Last-Event-ID gets only what is new.
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
from functions.upload.job_follower import JobEvent, JobFollower
from functions.upload.jobs import job_document, unknown_job
from functions.upload.json_documents import bad_value, unknown_parameter
from microdemucs import shutdown
from microdemucs.jobs import JobRecord
from microdemucs.plain_numbers import whole_number

HEARTBEAT_S = 15.0
MAX_STREAM_S = 240.0
"""Less than the 300 s after which Knative ends a request: the client reconnects by itself."""
CHECK_S = 1.0
"""How often an idle stream checks for a shutdown and for a client that has disconnected."""
MAX_NAMES = 200
_POSSIBLE_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")

routes = flask.Blueprint("event_stream", __name__)


@routes.get("/apiv1/events")
def stream_events_of_many() -> flask.Response:
    """Stream the state and progress of the named jobs, or of all that have not finished."""
    for parameter in flask.request.args:
        if parameter != "jobs":
            raise unknown_parameter(parameter, ("jobs",))
    text = flask.request.args.get("jobs")
    return _stream(None if text is None else parse_names(text))


@routes.get("/apiv1/jobs/<id_>/events")
def stream_events(id_: str) -> flask.Response:
    """Stream a job's state and progress until it finishes; the job need not exist yet."""
    ctx = context()
    ctx.jobs.ensure_loaded()
    if ctx.jobs.find(id_) is None and not _POSSIBLE_ID.fullmatch(id_):
        raise unknown_job(id_)
    return _stream(frozenset((id_,)))


def parse_names(text: str) -> frozenset[str]:
    """Return the names in the query parameter `jobs`. Raises Problem (422)."""
    names = frozenset(text.split(","))
    if len(names) > MAX_NAMES or not all(map(_POSSIBLE_ID.fullmatch, names)):
        accepts = f"1 to {MAX_NAMES} names of 32 or 64 lowercase hex digits, separated by commas"
        raise bad_value("jobs", text, accepts)
    return names


def parse_last_event_id(text: str) -> int:
    """Return the revision in a Last-Event-ID header, or 0 if it holds none."""
    return whole_number(text) or 0


def _stream(names: frozenset[str] | None) -> flask.Response:
    ctx = context()
    ctx.jobs.ensure_loaded()
    last_event_id = parse_last_event_id(flask.request.headers.get("Last-Event-ID", ""))
    follower = JobFollower(ctx.jobs, ctx.queue, names, last_event_id)
    events = follower.next_events(0)
    if not events and follower.has_ended():
        return flask.Response(status=204)  # an EventSource then stops reconnecting
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    lines = _lines(ctx, request, follower, events)
    return ctx.streams.response(lines, "text/event-stream", "poll the jobs instead")


def _lines(
    ctx: Context, request: flask.Request, follower: JobFollower, events: list[JobEvent]
) -> Iterator[str]:
    started = idle_since = time.monotonic()
    yield "retry: 2000\n\n"
    while True:
        for event in events:
            yield _event(ctx, event)
        if events:
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since >= HEARTBEAT_S:
            idle_since = time.monotonic()
            yield ": heartbeat\n\n"
        if (
            follower.has_ended()
            or time.monotonic() - started >= MAX_STREAM_S
            or shutdown.stopping.is_set()
            or connection.is_disconnected(request)
        ):
            return
        events = follower.next_events(CHECK_S)


def _event(ctx: Context, event: JobEvent) -> str:
    if event.is_new_state:
        name, data = "state", job_document(ctx, event.job)
    else:
        name, data = "progress", _progress(ctx, event.job)
    return f"event: {name}\nid: {event.id}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _progress(ctx: Context, job: JobRecord) -> dict[str, Any]:
    expected = ctx.queue.current().of(job)
    progress = {
        "id": job.id,
        "state": job.state,
        "phase": job.phase,
        "progress": job.progress,
        "position": expected.position,
        "seconds_left": expected.seconds_left,
        "updated": job.updated,
    }
    return progress | ({"estimate": msgspec.to_builtins(job.estimate)} if job.estimate else {})
