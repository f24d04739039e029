"""GET /apiv1/jobs/<id>/live/<track>: a stem to be heard while it is still being made.

Whoever separates the song puts what is encoded so far as small objects; these are sent in their
order as they come, and then the rest of the finished object, from the byte that was reached.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

import flask
from urllib3 import BaseHTTPResponse

from functions.upload import connection
from functions.upload.context import Context, parts
from functions.upload.jobs import find
from functions.upload.tracks import matching, not_separated
from microdemucs import service
from microdemucs.jobs import DONE, FINISHED, JobRecord, manifest_key, preview_key, preview_prefix
from microdemucs.options import CONTENT_TYPES
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, read_json, told

_BYTES = 64 * 1024
_NOTICE_STOP_S = 1.0

routes = flask.Blueprint("live", __name__)


@routes.get("/apiv1/jobs/<id_>/live/<name>")
def live(id_: str, name: str) -> flask.Response:
    """A stem from its beginning, for as long as it grows. It ends where the job does."""
    have = parts()
    job = find(have, id_).record
    file = matching(_to_be_heard(have, job), name)
    if not have.streams.acquire(blocking=False):
        raise RetryLater("too-many-streams", "Too many listeners now: wait for the track instead")
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    type_ = CONTENT_TYPES[PurePosixPath(file).suffix[1:]]
    answer = flask.Response(_growing(have, request, job, file), mimetype=type_)
    answer.call_on_close(have.streams.release)
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would keep it back
    return answer


def _to_be_heard(have: Context, job: JobRecord) -> list[str]:
    """The files of the job's stems, as far as something of them is there."""
    if job.state == DONE:
        return job.stems
    prefix = preview_prefix(job.key)
    with told():
        there = list(have.store.list_objects(have.names.stems, prefix))
    if job.state in FINISHED or not there:
        raise not_separated()
    return [str(one.object_name).removeprefix(prefix).rstrip("/") for one in there]


def _growing(have: Context, request: flask.Request, job: JobRecord, file: str) -> Iterator[bytes]:
    sent, number = 0, 1
    while not service.stopping.is_set() and not connection.is_gone(request):
        body = _get(have, preview_key(job.key, file, number))
        if body:
            for some in _stream(body):
                sent += len(some)
                yield some
            number += 1
            continue
        seen = have.jobs.find(job.id)
        if seen is None or seen.record.state in FINISHED:
            if seen and seen.record.state == DONE:
                yield from _rest(have, job, file, sent)
            return
        have.jobs.wait(job.id, seen.revision, _NOTICE_STOP_S)


def _rest(have: Context, job: JobRecord, file: str, sent: int) -> Iterator[bytes]:
    """The finished stem from byte `sent` on."""
    manifest = read_json(have.store, have.names.stems, manifest_key(job.key))
    if not manifest or manifest.get("job") != job.id:
        return
    for stem in manifest["stems"]:
        # A stem that was encoded again at another scale has the same moments at the same bytes,
        # but for FLAC's, whose frames are as long as they have to be.
        fits = "scale" not in stem or not file.endswith(".flac") or not sent
        if PurePosixPath(stem["key"]).name == file and stem["size"] > sent and fits:
            body = _get(have, stem["key"], sent)
            if body:
                yield from _stream(body)


def _get(have: Context, key: str, offset: int = 0) -> BaseHTTPResponse | None:
    try:
        with told():
            return have.store.get_object(have.names.stems, key, offset)
    except ObjectChanged:
        return None


def _stream(body: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from body.stream(_BYTES)
    finally:
        body.close()
        body.release_conn()
