"""The stems themselves: their bytes, whole or in part, and their removal."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import NamedTuple

import flask
from minio.datatypes import Object
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.http import http_date, is_resource_modified

from functions.upload.context import Context, context
from functions.upload.jobs import disposition, unknown_job
from microdemucs import service
from microdemucs.manifest import manifest_key
from microdemucs.problems import Problem, RetryLater
from microdemucs.store import ObjectChanged, map_store_errors, read_json

_PIECE_BYTES = 256 * 1024
_HASH = re.compile(r"[0-9a-f]{64}")
_ALIASES = {"base": "bass"}

routes = flask.Blueprint("tracks", __name__)


class Track(NamedTuple):
    """One stem's object. `song` is the key of the song it is of."""

    song: str
    key: str
    content_type: str

    @property
    def file(self) -> str:
        """Its name beside the manifest."""
        return PurePosixPath(self.key).name


@routes.get("/apiv1/track/<hash_>/<name>")
def track(hash_: str, name: str) -> flask.Response:
    """A stem's bytes, streamed from the store: conditional (RFC 9110, 13) and ranges (14)."""
    ctx = context()
    found = _find(ctx, hash_, name)
    there = _stat(ctx, found)
    etag = (there.etag or "").strip('"')
    request, modified = flask.request, there.last_modified
    headers = {
        "ETag": f'"{etag}"',
        "Last-Modified": http_date(modified) if modified else "",
        "Cache-Control": "private, no-cache",  # the song may be separated again: always ask
        "Accept-Ranges": "bytes",
    }
    if not is_resource_modified(
        request.environ, etag=etag, last_modified=modified, ignore_if_range=True
    ):
        return flask.Response(status=304, headers=headers)
    size = there.size or 0
    start, end, status = 0, size, 200
    if _wants_part(etag, modified):
        span = _span(size)
        if span is None:
            return _no_such_part(size)
        start, end, status = *span, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Type"] = found.content_type
    headers["Content-Length"] = str(end - start)
    headers["Content-Disposition"] = disposition("inline", found.song, found.file)
    response = flask.Response(status=status, headers=headers)
    if request.method != "HEAD" and end > start:
        response.response = _pieces(ctx, found, etag, start, end - start)
    return response


@routes.route("/apiv1/remove/<hash_>/<name>", methods=["GET", "DELETE"])
def remove(hash_: str, name: str) -> dict[str, str]:
    """Remove one stem's object; the manifest stays and tells what was there."""
    if flask.request.method == "HEAD":  # comes with GET, but asks for no deed
        raise MethodNotAllowed(["GET", "DELETE"])
    ctx = context()
    found = _find(ctx, hash_, name)
    _stat(ctx, found)
    with map_store_errors():
        ctx.store.remove_object(ctx.names.stems, found.key)
    return {"hash": hash_, "track": found.file, "reason": "removed"}


def _find(ctx: Context, hash_: str, name: str) -> Track:
    song = f"{hash_}.mp3" if _HASH.fullmatch(hash_) else _song_of_job(ctx, hash_)
    manifest = read_json(ctx.store, ctx.names.stems, manifest_key(song))
    if manifest is None:
        raise not_separated()
    listed = {PurePosixPath(stem["key"]).name: stem for stem in manifest.get("stems", [])}
    stem = listed[matching(list(listed), name)]
    return Track(song, stem["key"], stem["content_type"])


def matching(files: list[str], name: str) -> str:
    """Which of a song's `files` is meant by the name of a track. Raises Problem."""
    wanted = PurePosixPath(name)
    stem = _ALIASES.get(wanted.stem, wanted.stem)
    for file in map(PurePosixPath, files):
        if stem == file.stem and wanted.suffix in ("", file.suffix):
            return file.name
    raise Problem(
        404,
        "unknown-track",
        "The song has no such track",
        f"it has: {', '.join(files)}",
        tracks=files,
    )


def not_separated() -> Problem:
    """What to raise where a song has no stems."""
    return Problem(
        404,
        "not-separated",
        "There are no stems of this song",
        "it has not been separated, or not yet: look at the job",
    )


def _song_of_job(ctx: Context, id_: str) -> str:
    ctx.jobs.check()
    found = ctx.jobs.find(id_)
    if found is None:
        raise unknown_job()
    return found.record.key


def _stat(ctx: Context, track: Track) -> Object:
    try:
        with map_store_errors():
            return ctx.store.stat_object(ctx.names.stems, track.key)
    except ObjectChanged:
        raise Problem(
            404, "track-removed", "The track is not there any more", "it has been removed"
        ) from None


def _wants_part(etag: str, modified: datetime | None) -> bool:
    """Whether one part is asked for that can be given; several at once are answered whole."""
    asked, unless = flask.request.range, flask.request.if_range
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return False
    if unless.etag is not None:
        is_weak = flask.request.headers["If-Range"].startswith("W/")
        return unless.etag == etag and not is_weak
    return unless.date is None or unless.date == modified


def _span(size: int) -> tuple[int, int] | None:
    """From where to where, the end not included; None where the track has no such part."""
    asked = flask.request.range
    first = asked.ranges[0][0] if asked else 0
    if size and first is not None and -first > size:  # more than all of the end: all
        return 0, size
    return asked.range_for_length(size) if asked else None


def _no_such_part(size: int) -> flask.Response:
    response = service.problem_response(
        Problem(
            416, "no-such-range", "The track has no such part", f"it has {size} bytes", size=size
        )
    )
    response.headers["Content-Range"] = f"bytes */{size}"
    return response


def _pieces(ctx: Context, track: Track, etag: str, start: int, size: int) -> Iterator[bytes]:
    try:
        with map_store_errors():
            body = ctx.store.get_object(
                ctx.names.stems, track.key, start, size, {"If-Match": f'"{etag}"'}
            )
    except ObjectChanged:
        raise RetryLater("changed", "The track has just changed", after=1) from None

    def pieces() -> Iterator[bytes]:
        try:
            yield from body.stream(_PIECE_BYTES)
        finally:
            body.close()
            body.release_conn()

    return pieces()
