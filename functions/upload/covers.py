"""GET /apiv1/jobs/<id>/cover: the cover in the song's tags, of a job that is done."""

import flask

from functions.upload.context import Context, context
from functions.upload.jobs import find_job
from microdemucs.covers import MAX_COVER_BYTES, cover_type, is_cover
from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import Manifest
from microdemucs.problems import Problem
from microdemucs.result_store import read_manifest

routes = flask.Blueprint("covers", __name__)


@routes.get("/apiv1/jobs/<id_>/cover")
def get_cover(id_: str) -> flask.typing.ResponseReturnValue:
    """Return the cover, a JPEG or PNG."""
    ctx = context()
    content_type, data = _find_cover(ctx, find_job(ctx, id_).record)
    response = flask.Response(data, mimetype=content_type)
    response.headers["Cache-Control"] = "private, no-cache"  # a new job may replace it
    response.headers["X-Content-Type-Options"] = "nosniff"  # it comes from a stranger's file
    response.add_etag()
    return response.make_conditional(flask.request)


def read_cover(ctx: Context, manifest: Manifest) -> bytes:
    """Return the JPEG or PNG that the manifest lists; b"" if it lists none, or it is gone."""
    if not manifest.song.cover:
        return b""
    data = ctx.stems.read(manifest.song.cover.key, MAX_COVER_BYTES + 1)
    return data if data is not None and is_cover(data) else b""


def _find_cover(ctx: Context, job: JobRecord) -> tuple[str, bytes]:
    """Return the content type and the bytes. Raises Problem if there is no cover."""
    manifest = read_manifest(ctx.stems, job.key) if job.state == JobState.DONE else None
    if manifest and manifest.job == job.id and (cover := read_cover(ctx, manifest)):
        return cover_type(cover), cover
    raise Problem(
        404,
        "no-cover",
        "The job has no cover",
        "its song's tags have no JPEG or PNG of up to 300 kB, its results were removed, "
        "or it is not done",
    )
