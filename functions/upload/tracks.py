"""The routes of finished stems: download one, whole or in part; remove one."""

import re
from contextlib import ExitStack
from datetime import datetime
from pathlib import PurePosixPath
from typing import NamedTuple

import flask
from minio.datatypes import Object
from werkzeug.datastructures import Range
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.http import http_date, is_resource_modified, parse_if_range_header

from functions.upload import pages
from functions.upload.context import Context, context
from functions.upload.jobs import content_disposition, find_job
from functions.upload.json_documents import describe
from functions.upload.share_links import Grant
from microdemucs import service
from microdemucs.bucket import etag_of
from microdemucs.covers import cover_keys
from microdemucs.jobs import JobState
from microdemucs.manifest import StemEntry
from microdemucs.peaks import peaks_key
from microdemucs.problems import Problem, RetryLater
from microdemucs.result_store import read_manifest
from microdemucs.store import ObjectChanged

_HASH = re.compile(r"[0-9a-f]{64}")
_ALIASES = {"base": "bass"}

routes = flask.Blueprint("tracks", __name__)


class Track(NamedTuple):
    """A stem in the output bucket, and the key of the song that it comes from."""

    song_key: str
    stem: StemEntry


@routes.get("/apiv1/track/<hash_>/<name>")
def get_track(hash_: str, name: str) -> flask.Response:
    """Stream a stem from the store; honours conditions and one range (RFC 9110, 13 and 14)."""
    ctx = context()
    track = _find_track(ctx, hash_, name)
    stat = _stat(ctx, track)
    etag, modified, size = etag_of(stat), stat.last_modified, stat.size or 0
    request = flask.request
    headers = {
        "ETag": f'"{etag}"',
        "Last-Modified": http_date(modified) if modified else "",
        "Cache-Control": "private, no-cache",  # a new job may replace it: revalidate every time
        "Accept-Ranges": "bytes",
    }
    if not is_resource_modified(
        request.environ, etag=etag, last_modified=modified, ignore_if_range=True
    ):
        return flask.Response(status=304, headers=headers)
    start, end, status = 0, size, 200
    if_range = request.headers.get("If-Range", "")
    if request.range and is_range_wanted(request.range, if_range, etag, modified):
        byte_range = resolve_range(request.range, size)
        if byte_range is None:
            return range_not_satisfiable(size)
        start, end, status = *byte_range, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Type"] = track.stem.content_type
    headers["Content-Length"] = str(end - start)
    headers["Content-Disposition"] = content_disposition("inline", track.song_key, track.stem.file)
    response = flask.Response(status=status, headers=headers)
    if request.method != "HEAD" and end > start:
        _send_bytes(ctx, response, track.stem.key, etag, start, end - start)
    return response


@routes.route("/apiv1/remove/<hash_>/<name>", methods=["GET", "DELETE"])
def remove_track(hash_: str, name: str) -> dict[str, str]:
    """Remove one stem's object; the manifest stays and still lists it.

    GET is for clients that have no DELETE. It needs a token, or must come from the own page.
    """
    if flask.request.method == "HEAD":  # flask adds HEAD to GET, but HEAD must not change anything
        raise MethodNotAllowed(["GET", "DELETE"])
    ctx = context()
    if flask.request.method == "GET" and not ctx.settings.tokens:
        pages.ensure_own_page()
    track = _find_track(ctx, hash_, name)
    _stat(ctx, track)
    ctx.stems.remove(track.stem.key)
    _remove_rest_without_stems(ctx, track.song_key)
    return {"hash": hash_, "track": track.stem.file, "reason": "removed"}


def match_file(files: list[str], name: str) -> str:
    """Return the file that a track's name, with or without its suffix, means. Raises Problem."""
    path = PurePosixPath(name)
    stem = _ALIASES.get(path.stem, path.stem)
    for file in map(PurePosixPath, files):
        if stem == file.stem and path.suffix in ("", file.suffix):
            return file.name
    raise Problem(
        404,
        "unknown-track",
        "The song has no such track",
        f"{describe(name)} is not one of its tracks: {', '.join(files)}",
        tracks=files,
    )


def not_separated() -> Problem:
    """Return the Problem (404) of a song without stems."""
    return Problem(
        404,
        "not-separated",
        "The song has no stems",
        "it has not been separated, or not yet: look at its job",
    )


def is_range_wanted(requested: Range, if_range: str, etag: str, modified: datetime | None) -> bool:
    """Return whether to answer with a part: one byte range, and If-Range does not forbid it.

    A request for several ranges is answered whole, which RFC 9110 (14.2) allows. `if_range` is
    the header's text, or "".
    """
    if requested.units != "bytes" or len(requested.ranges) != 1:
        return False
    condition = parse_if_range_header(if_range)
    if condition.etag is not None:
        return condition.etag == etag and not if_range.startswith("W/")
    return condition.date is None or condition.date == modified


def resolve_range(requested: Range, size: int) -> tuple[int, int] | None:
    """Return the first byte and the end (exclusive) of the range, or None if it is beyond `size`.

    A suffix longer than the file means the whole file (RFC 9110, 14.1.2).
    """
    first = requested.ranges[0][0]
    if size and first is not None and -first > size:
        return 0, size
    return requested.range_for_length(size)


def range_not_satisfiable(size: int) -> flask.Response:
    """Return 416 for a track that has `size` bytes."""
    response = service.problem_response(
        Problem(
            416,
            "no-such-range",
            "The range begins after the end of the track",
            f"Range is {describe(flask.request.headers['Range'])}; the track has {size} bytes",
            size=size,
        )
    )
    response.headers["Content-Range"] = f"bytes */{size}"
    return response


def _find_track(ctx: Context, hash_: str, name: str) -> Track:
    song_key = f"{hash_}.mp3" if _HASH.fullmatch(hash_) else find_job(ctx, hash_).record.key
    manifest = read_manifest(ctx.stems, song_key)
    if manifest is None:
        job = ctx.jobs.find(hash_)
        if job and job.record.state == JobState.DONE:
            raise _track_removed(PurePosixPath(name).name)
        raise not_separated()
    grant: Grant | None = flask.g.get("grant")
    if grant and manifest.job != grant.job:
        raise _track_removed(PurePosixPath(name).name)
    stems = {stem.file: stem for stem in manifest.stems}
    return Track(song_key, stems[match_file(list(stems), name)])


def _stat(ctx: Context, track: Track) -> Object:
    try:
        return ctx.stems.stat(track.stem.key)
    except ObjectChanged:
        raise _track_removed(track.stem.file) from None


def _remove_rest_without_stems(ctx: Context, song_key: str) -> None:
    """Remove the peaks and the cover of a song if none of its stems is left."""
    listed = {str(item.object_name) for item in ctx.stems.list(f"{song_key}/", recursive=False)}
    manifest = read_manifest(ctx.stems, song_key)
    if manifest and not any(stem.key in listed for stem in manifest.stems):
        for key in (peaks_key(song_key), *cover_keys(song_key)):
            ctx.stems.remove(key)


def _track_removed(file: str) -> Problem:
    return Problem(
        404,
        "track-removed",
        "The track was removed",
        f"{describe(file)} is no longer in the store; separate the song again to get it back",
    )


def _send_bytes(
    ctx: Context, response: flask.Response, key: str, etag: str, start: int, size: int
) -> None:
    """Make the object's bytes the body of `response`. Raises RetryLater."""
    with ExitStack() as stack:
        try:
            download = stack.enter_context(
                ctx.stems.download(key, offset=start, size=size, etag=etag)
            )
        except ObjectChanged:
            raise RetryLater(
                "changed", "The track has just changed", "request it again", after=1
            ) from None
        response.response = download.chunks()
        response.call_on_close(stack.pop_all().close)
