"""The stems of a job that is done, as they are in the store now."""

from typing import NamedTuple

from functions.upload.context import Context
from functions.upload.jobs import find_job
from functions.upload.json_documents import describe
from functions.upload.stored_stem import StoredStem
from functions.upload.tracks import not_separated
from microdemucs.bucket import etag_of
from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import Manifest, StemEntry
from microdemucs.problems import Problem
from microdemucs.result_store import read_manifest
from microdemucs.store import ObjectChanged

_MAX_STEMS = 32
"""In a manifest. Models have up to six; only one made by hand has more than that."""


class FinishedStems(NamedTuple):
    """A job that is done, its manifest, and all of its stems in the manifest's order."""

    job: JobRecord
    manifest: Manifest
    stems: list[StoredStem]


def find_finished_stems(ctx: Context, id_: str) -> FinishedStems:
    """Return all stems of the job. Raises Problem (404) if one is missing, and RetryLater."""
    job = find_job(ctx, id_).record
    if job.state != JobState.DONE:
        raise not_separated()
    manifest = read_manifest(ctx.stems, job.key)
    if manifest is None or manifest.job != job.id or not manifest.stems:
        raise _stems_removed("the stems of this job are no longer in the store")
    if len(manifest.stems) > _MAX_STEMS:
        raise _stems_removed("the manifest lists more stems than any job makes")
    return FinishedStems(job, manifest, [_look_up(ctx, entry) for entry in manifest.stems])


def _look_up(ctx: Context, entry: StemEntry) -> StoredStem:
    try:
        stat = ctx.stems.stat(entry.key)
    except ObjectChanged:
        raise _stems_removed(f"{describe(entry.file)} is no longer in the store") from None
    return StoredStem(entry, etag_of(stat), stat.size or 0)


def _stems_removed(reason: str) -> Problem:
    return Problem(
        404,
        "track-removed",
        "Not all stems are there",
        f"{reason}; separate the song again to get it back",
    )
