"""GET /apiv1/jobs/<id>/stem.mp4: the mix and the stems in one file for DJ programs.

The format is Native Instruments' Stems. Its index is at the end and is written last, so the file
is encoded before it is sent.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import PurePosixPath

import flask

from functions.upload import connection
from functions.upload.context import context
from functions.upload.encoding.encoders import Encoding, Order
from functions.upload.encoding.task import Gains, Output
from functions.upload.file_tags import read_tags
from functions.upload.finished_stems import FinishedStems, find_finished_stems
from functions.upload.jobs import attachment
from functions.upload.stored_stem import StoredStem
from microdemucs import shutdown
from microdemucs.audio_tags import AudioTags
from microdemucs.problems import Problem, RetryLater

TRACKS = ("drums", "bass", "other", "vocals")
"""In the order that players of the format expect."""
SHARED_TRACKS = {"guitar": "other", "piano": "other"}
"""The tracks of further stems: models of six sources take them out of `other`."""

_LOOK_S = 0.5  # how often it is checked whether somebody still waits

routes = flask.Blueprint("stem_mp4", __name__)


@routes.get("/apiv1/jobs/<id_>/stem.mp4")
def get_stem_file(id_: str) -> flask.Response:
    """Return the job's stems, as four tracks, and their mix as stem.mp4."""
    ctx = context()
    found = find_finished_stems(ctx, id_)
    stems = in_order(found.stems)
    response = flask.Response(mimetype="audio/mp4")
    # Players know the format by this ending.
    name = f"{PurePosixPath(found.job.key).stem}.stem.mp4"
    response.headers["Content-Disposition"] = attachment(name)
    if flask.request.method == "HEAD":
        return response
    order = make_order(found, stems, read_tags(ctx, found))
    with ExitStack() as stack:
        encoding = ctx.encoders.start(ctx.stems, order)
        stack.callback(encoding.close)
        _wait(encoding)
        response.headers["Content-Length"] = str(encoding.size)
        response.response = encoding.chunks()
        response.call_on_close(stack.pop_all().close)
    return response


def make_order(found: FinishedStems, stems: Sequence[StoredStem], tags: AudioTags) -> Order:
    """Return what to encode."""
    return Order(
        Output.STEM_FILE,
        stems,
        [Gains()] * len(stems),
        found.manifest.song.seconds,
        tags=tags,
        tracks=[_track_of(stem) for stem in stems],
    )


def in_order(stems: Sequence[StoredStem]) -> list[StoredStem]:
    """Return the stems in the order of their tracks. Raises Problem (409) if they are others."""
    names = [stem.entry.name for stem in stems]
    if sorted(names) not in (sorted(TRACKS), sorted([*TRACKS, *SHARED_TRACKS])):
        raise Problem(
            409,
            "not-four-stems",
            "A stem.mp4 has four certain stems",
            f"they are {', '.join(TRACKS)}, and {' and '.join(SHARED_TRACKS)} if the model has "
            f"both, as a part of other; this job has {', '.join(names)}: separate the song "
            "without the options stems and two_stems",
        )
    return sorted(stems, key=lambda stem: TRACKS.index(_track_of(stem)))


def _track_of(stem: StoredStem) -> str:
    return SHARED_TRACKS.get(stem.entry.name, stem.entry.name)


def _wait(encoding: Encoding) -> None:
    """Wait until the file is complete. Raises Problem, and ClientLeft."""
    while not encoding.wait(_LOOK_S):
        if shutdown.stopping.is_set():
            raise RetryLater("stopping", "This process is stopping", "try again", after=1)
        connection.ensure_connected(flask.request)
