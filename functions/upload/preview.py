"""GET /apiv1/jobs/<id>/live/<track>: a stem to be heard while it is still being made.

Whoever separates the song puts what is encoded so far as small objects; these are sent in their
order as they come, and then the rest of the finished object, from the byte that was reached.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

import flask
from urllib3 import BaseHTTPResponse

from functions.upload import connection
from functions.upload.context import Context, context
from functions.upload.jobs import find
from functions.upload.tracks import matching, not_separated
from microdemucs import shutdown
from microdemucs.jobs import FINISHED, JobRecord, JobState, preview_key, preview_prefix
from microdemucs.manifest import manifest_key
from microdemucs.options import CONTENT_TYPES
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, map_store_errors, read_json

_BYTES = 64 * 1024
_NOTICE_STOP_S = 1.0

routes = flask.Blueprint("live", __name__)


@routes.get("/apiv1/jobs/<id_>/live/<name>")
def live(id_: str, name: str) -> flask.Response:
    """A stem from its beginning, for as long as it grows. It ends where the job does."""
    ctx = context()
    job = find(ctx, id_).record
    file = matching(_to_be_heard(ctx, job), name)
    if not ctx.streams.acquire(blocking=False):
        raise RetryLater("too-many-streams", "Too many listeners now: wait for the track instead")
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    type_ = CONTENT_TYPES[PurePosixPath(file).suffix[1:]]
    answer = flask.Response(_growing(ctx, request, job, file), mimetype=type_)
    answer.call_on_close(ctx.streams.release)
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would keep it back
    return answer


def _to_be_heard(ctx: Context, job: JobRecord) -> list[str]:
    """The files of the job's stems, as far as something of them is there."""
    if job.state == JobState.DONE:
        return job.stems
    prefix = preview_prefix(job.key)
    with map_store_errors():
        there = list(ctx.store.list_objects(ctx.names.stems, prefix))
    if job.state in FINISHED or not there:
        raise not_separated()
    return [str(one.object_name).removeprefix(prefix).rstrip("/") for one in there]


def _growing(ctx: Context, request: flask.Request, job: JobRecord, file: str) -> Iterator[bytes]:
    sent, number = 0, 1
    while not shutdown.stopping.is_set() and not connection.is_gone(request):
        body = _get(ctx, preview_key(job.key, file, number))
        if body:
            for some in _stream(body):
                sent += len(some)
                yield some
            number += 1
            continue
        seen = ctx.jobs.find(job.id)
        if seen is None or seen.record.state in FINISHED:
            if seen and seen.record.state == JobState.DONE:
                yield from _rest(ctx, job, file, sent)
            return
        ctx.jobs.wait(job.id, seen.revision, _NOTICE_STOP_S)


def _rest(ctx: Context, job: JobRecord, file: str, sent: int) -> Iterator[bytes]:
    """The finished stem from byte `sent` on."""
    manifest = read_json(ctx.store, ctx.names.stems, manifest_key(job.key))
    if not manifest or manifest.get("job") != job.id:
        return
    for stem in manifest["stems"]:
        # A stem that was encoded again at another scale has the same moments at the same bytes,
        # but for FLAC's, whose frames are as long as they have to be.
        fits = "scale" not in stem or not file.endswith(".flac") or not sent
        if PurePosixPath(stem["key"]).name == file and stem["size"] > sent and fits:
            body = _get(ctx, stem["key"], sent)
            if body:
                yield from _stream(body)


def _get(ctx: Context, key: str, offset: int = 0) -> BaseHTTPResponse | None:
    try:
        with map_store_errors():
            return ctx.store.get_object(ctx.names.stems, key, offset)
    except ObjectChanged:
        return None


def _stream(body: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from body.stream(_BYTES)
    finally:
        body.close()
        body.release_conn()
