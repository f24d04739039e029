"""The tags of a file that is made of a job's stems: those of its song, as the stems have them."""

from pathlib import PurePosixPath

from functions.upload.context import Context
from functions.upload.covers import read_cover
from functions.upload.finished_stems import FinishedStems
from microdemucs.audio_tags import AudioTags


def read_tags(ctx: Context, found: FinishedStems, what: str = "") -> AudioTags:
    """Return the tags of the file that has `what` of the song. Raises RetryLater."""
    tags = found.manifest.song.tags or {}
    name = PurePosixPath(found.job.key).stem
    return AudioTags.of_song(tags, name, what, read_cover(ctx, found.manifest))
