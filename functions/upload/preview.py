"""GET /apiv1/jobs/<id>/live/<track>: play a stem before it is finished.

The separate function stores preview chunks, small objects with the audio encoded so far. This
route sends them in order as they appear, then the rest of the finished stem.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

import flask
from msgspec import UNSET

from functions.upload import connection
from functions.upload.context import Context, context
from functions.upload.jobs import find_job
from functions.upload.preview_range import is_one_range, send_range
from functions.upload.tracks import match_file, not_separated
from microdemucs import shutdown
from microdemucs.jobs import FINISHED, JobRecord, JobState, preview_key, preview_prefix
from microdemucs.manifest import StemEntry
from microdemucs.options import CONTENT_TYPES
from microdemucs.result_store import read_manifest
from microdemucs.store import ObjectChanged

CHECK_S = 1.0
"""How often a stream without new audio looks for some, and for a shutdown or a disconnect."""
_READ_BYTES = 64 * 1024

routes = flask.Blueprint("preview", __name__)


@routes.get("/apiv1/jobs/<id_>/live/<name>")
def stream_preview(id_: str, name: str) -> flask.Response:
    """Stream a stem from its beginning while it grows, until the job ends; or send one range."""
    ctx = context()
    job = find_job(ctx, id_).record
    file = match_file(_files(ctx, job), name)
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    content_type = CONTENT_TYPES[PurePosixPath(file).suffix[1:]]
    if is_one_range(request.range):
        return send_range(ctx, job, file, content_type, request.range)
    audio = _growing_stem(ctx, request, job, file)
    return ctx.streams.response(audio, content_type, "wait for the finished track instead")


def can_continue(stem: StemEntry, sent: int) -> bool:
    """Return whether byte `sent` of the finished stem continues its preview.

    A stem that clip mode `rescale` encoded again has the same moments at the same bytes in WAV and
    MP3. FLAC frames vary in length, so a FLAC stem continues only if nothing has been sent.
    """
    if stem.size <= sent:
        return False
    return stem.scale is UNSET or not stem.file.endswith(".flac") or sent == 0


def _files(ctx: Context, job: JobRecord) -> list[str]:
    """Return the files of the job's stems that have audio. Raises Problem if there are none.

    Files that are no stems do not count.
    """
    if job.state == JobState.DONE:
        return [file for file in job.stems if _is_stem(file)]
    if job.state in FINISHED:
        raise not_separated()
    prefix = preview_prefix(job.key)
    folders = ctx.stems.list(prefix, recursive=False)
    names = [str(folder.object_name).removeprefix(prefix).rstrip("/") for folder in folders]
    files = [name for name in names if _is_stem(name)]
    if not files:
        raise not_separated()
    return files


def _is_stem(file: str) -> bool:
    return PurePosixPath(file).suffix[1:] in CONTENT_TYPES


def _growing_stem(
    ctx: Context, request: flask.Request, job: JobRecord, file: str
) -> Iterator[bytes]:
    sent, number = 0, 1
    while not shutdown.stopping.is_set() and not connection.is_disconnected(request):
        try:
            with ctx.stems.download(preview_key(job.key, file, number)) as chunk:
                for data in chunk.chunks(_READ_BYTES):
                    sent += len(data)
                    yield data
            number += 1
            continue
        except ObjectChanged:
            pass  # this chunk is not stored yet
        current = ctx.jobs.find(job.id)
        if current is None or current.record.state in FINISHED:
            if current and current.record.state == JobState.DONE:
                yield from _rest_of_stem(ctx, job, file, sent)
            return
        ctx.jobs.wait_for_change(job.id, current.revision, CHECK_S)


def _rest_of_stem(ctx: Context, job: JobRecord, file: str, sent: int) -> Iterator[bytes]:
    """Yield the finished stem from byte `sent` on."""
    manifest = read_manifest(ctx.stems, job.key)
    if manifest is None or manifest.job != job.id:
        return
    for stem in manifest.stems:
        if stem.file == file and can_continue(stem, sent):
            try:
                with ctx.stems.download(stem.key, offset=sent) as rest:
                    yield from rest.chunks(_READ_BYTES)
            except ObjectChanged:
                return  # it was removed
