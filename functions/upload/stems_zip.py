"""GET /apiv1/jobs/<id>/stems.zip: all stems of a job in one archive.

The archive is made while it is sent: nothing of it is on disk, and one block of it in memory. The
stems are stored, not compressed, so its length is known before.
"""

import logging
import re
from collections.abc import Iterable, Iterator

import flask
from zipstream import ZipStream

from functions.upload.context import Context, context
from functions.upload.finished_stems import find_finished_stems
from functions.upload.jobs import attachment, download_name
from functions.upload.stored_stem import StoredStem
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|]')
"""What a file's name may not have on some system, or what an unpacker takes for a folder."""

routes = flask.Blueprint("stems_zip", __name__)


@routes.get("/apiv1/jobs/<id_>/stems.zip")
def get_zip(id_: str) -> flask.Response:
    """Stream all stems as a zip."""
    ctx = context()
    found = find_finished_stems(ctx, id_)
    archive = make_archive(
        (name_in_zip(found.job.key, stem.entry.file), stem.size, _read(ctx, stem))
        for stem in found.stems
    )
    headers = {
        "Content-Type": "application/zip",
        "Content-Length": str(len(archive)),
        "Content-Disposition": attachment(download_name(found.job.key, "stems.zip")),
    }
    return flask.Response(() if flask.request.method == "HEAD" else iter(archive), headers=headers)


def name_in_zip(song_key: str, file: str) -> str:
    """Return the name of a stem in the archive, one that every system can unpack."""
    return _NOT_IN_NAMES.sub("_", download_name(song_key, file))


def make_archive(files: Iterable[tuple[str, int, Iterator[bytes]]]) -> ZipStream:
    """Return an archive of files, each a name, a size in bytes and the bytes; it has a length.

    It is ZIP64 if it must be. Reading it raises an error if a file has another size.
    """
    archive = ZipStream(sized=True)
    for name, size, data in files:
        archive.add(data, name, size=size)
    return archive


def _read(ctx: Context, stem: StoredStem) -> Iterator[bytes]:
    """Yield the stem's bytes.

    An error, also of a stem that has been replaced, closes the connection: the client sees that
    the archive is not complete.
    """
    try:
        with ctx.stems.download(stem.entry.key, etag=stem.etag) as download:
            yield from download.chunks()
    except (ObjectChanged, RetryLater) as error:
        log.warning("download broken off", extra={"key": stem.entry.key, "why": str(error)})
        raise
