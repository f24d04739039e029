"""One range of a stem that may still grow (RFC 9110, section 14): what is encoded of it by now.

Unlike a stream it is answered at once, so a client that listens along holds no connection.
"""

from collections.abc import Iterator
from typing import NamedTuple

import flask
from msgspec import UNSET
from werkzeug.datastructures import Range

from functions.upload.context import Context
from functions.upload.tracks import range_not_satisfiable, resolve_range
from microdemucs.jobs import JobRecord, JobState, preview_key
from microdemucs.result_store import read_manifest


class Piece(NamedTuple):
    """An object that holds consecutive bytes of the stem."""

    key: str
    size: int


def is_one_range(requested: Range | None) -> bool:
    """Return whether to answer with a part: other ranges are answered with the whole stem."""
    return requested is not None and requested.units == "bytes" and len(requested.ranges) == 1


def send_range(
    ctx: Context, job: JobRecord, file: str, content_type: str, requested: Range
) -> flask.Response:
    """Return 206 with the range, or 416 if it begins after what is encoded by now.

    The length in Content-Range is that of now. A finished stem that was encoded again does not
    continue its preview: frames of both would be mixed. Raises RetryLater.
    """
    start = requested.ranges[0][0] or 0
    pieces = _pieces(ctx, job, file, start)
    if not pieces:
        return range_not_satisfiable(start)
    size = sum(piece.size for piece in pieces)
    byte_range = resolve_range(requested, size)
    if byte_range is None:
        return range_not_satisfiable(size)
    start, end = byte_range
    headers = {
        "Content-Type": content_type,
        "Content-Range": f"bytes {start}-{end - 1}/{size}",
        "Content-Length": str(end - start),
        "Accept-Ranges": "bytes",
    }
    return flask.Response(_read(ctx, pieces, start, end), 206, headers)


def _pieces(ctx: Context, job: JobRecord, file: str, start: int) -> list[Piece]:
    if job.state == JobState.DONE:
        manifest = read_manifest(ctx.stems, job.key)
        stems = manifest.stems if manifest and manifest.job == job.id else []
        return [
            Piece(stem.key, stem.size)
            for stem in stems
            if stem.file == file and (stem.scale is UNSET or start == 0)
        ]
    prefix = preview_key(job.key, file, 0).removesuffix("000000")
    chunks = sorted(ctx.stems.list(prefix), key=lambda chunk: str(chunk.object_name))
    return [Piece(str(chunk.object_name), chunk.size or 0) for chunk in chunks]


def _read(ctx: Context, pieces: list[Piece], start: int, end: int) -> Iterator[bytes]:
    """Yield bytes from `start` to before `end`.

    If an object is removed meanwhile, because the job has ended, the response ends early; the
    client asks again.
    """
    begin = 0
    for piece in pieces:
        first, last = max(start - begin, 0), min(end - begin, piece.size)
        begin += piece.size
        if first < last:
            with ctx.stems.download(piece.key, offset=first, size=last - first) as download:
                yield from download.chunks()
