"""GET /apiv1/jobs/<id>/peaks: what the waveforms of a job's stems are drawn from.

While the job runs, these are the columns that the separate function has published so far; then all
of them. docs/events.md describes the format.
"""

import logging

import flask

from functions.upload import sharing
from functions.upload.context import Context, context
from functions.upload.jobs import find_job
from functions.upload.json_documents import bad_value, unknown_parameter
from functions.upload.tracks import not_separated
from microdemucs.jobs import (
    FINISHED,
    JobRecord,
    JobState,
    peaks_preview_key,
    peaks_preview_prefix,
)
from microdemucs.manifest import BadDocument
from microdemucs.peaks import MAX_PEAKS_BYTES, PEAKS_TYPE, Peaks, PeaksHeader
from microdemucs.plain_numbers import whole_number
from microdemucs.problems import Problem
from microdemucs.result_store import read_manifest

log = logging.getLogger(__name__)

_MAX_START = 999_999_999

routes = flask.Blueprint("peaks", __name__)


@routes.get("/apiv1/jobs/<id_>/peaks")
def get_peaks(id_: str) -> flask.typing.ResponseReturnValue:
    """Return the peaks of all stems, from the column `from` on, as far as they are known."""
    ctx = context()
    start = _parse_start()
    job = find_job(ctx, id_).record
    if job.state not in FINISHED:
        return flask.Response(_published(ctx, job, start).write(), mimetype=PEAKS_TYPE)
    if job.state != JobState.DONE:
        raise not_separated()
    response = flask.Response(_finished(ctx, job).from_column(start).write(), mimetype=PEAKS_TYPE)
    response.headers["Cache-Control"] = "private, no-cache"  # a new job may replace the stems
    response.add_etag()
    return response.make_conditional(flask.request)


def _parse_start() -> int:
    """Return the parameter `from`, 0 if there is none. Raises Problem."""
    query = flask.request.args
    for name in query:
        if name not in ("from", sharing.PARAMETER):
            raise unknown_parameter(name, ("from",))
    text = query.get("from", "0")
    start = whole_number(text)
    if start is None or start > _MAX_START:
        raise bad_value("from", text, f"the number of a column, from 0 to {_MAX_START}")
    return start


def _finished(ctx: Context, job: JobRecord) -> Peaks:
    """Return all peaks of a job that is done. Raises Problem if it has none."""
    manifest = read_manifest(ctx.stems, job.key)
    if manifest and manifest.job == job.id and manifest.peaks:
        peaks = _read(ctx, manifest.peaks.key)
        if peaks:
            return peaks
    raise Problem(
        404,
        "no-peaks",
        "The job has no peaks",
        "they were removed, or the stems are of a version that made none; "
        "remove the stems and send the song again to get them",
    )


def _published(ctx: Context, job: JobRecord, start: int) -> Peaks:
    """Return the columns from `start` on that exist of a job that has not finished.

    There is none before its first block is separated, and none while its ranges are separated.
    """
    chunks: list[Peaks] = []
    for key in _keys_from(ctx, job, start):
        chunk = _read(ctx, key)
        if not chunk or (chunks and chunk.header.start != chunks[-1].stop):
            break  # the job has just ended, or started again: the next request finds out
        chunks.append(chunk)
    if not chunks:
        return Peaks(PeaksHeader(stems=[], total=0), b"")
    columns = b"".join(chunk.columns for chunk in chunks)
    return Peaks(chunks[0].header, columns).from_column(start)


def _keys_from(ctx: Context, job: JobRecord, start: int) -> list[str]:
    """Return the keys of the published objects that have columns from `start` on, in order."""
    prefix = peaks_preview_prefix(job.key)
    names = [str(item.object_name).removeprefix(prefix) for item in ctx.stems.list(prefix)]
    starts = sorted(number for name in names if (number := whole_number(name)) is not None)
    skipped = sum(next_start <= start for next_start in starts[1:])
    return [peaks_preview_key(job.key, first) for first in starts[skipped:]]


def _read(ctx: Context, key: str) -> Peaks | None:
    """Return the peaks at `key`; None if there are none, or none that can be read."""
    document = ctx.stems.read(key, MAX_PEAKS_BYTES)
    try:
        return None if document is None else Peaks.read(document)
    except BadDocument as error:
        log.warning("document ignored: it cannot be read", extra={"key": key, "why": str(error)})
        return None
