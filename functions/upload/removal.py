"""Remove the results of a finished job, and notice results that somebody else removed.

What is removed stays away: the job record says so, and the sweep reads it. Objects that belong to
another job of the same song, or to a newer version of it, are left alone.
"""

from collections.abc import Set

from functions.upload.context import Context
from functions.upload.jobs_view import change_record
from microdemucs.bucket import etag_of
from microdemucs.covers import cover_keys
from microdemucs.jobs import JobRecord, JobState, preview_prefix
from microdemucs.keys import fits
from microdemucs.manifest import Failure, Manifest, failure_key, manifest_key
from microdemucs.peaks import peaks_key
from microdemucs.problems import RetryLater, now
from microdemucs.result_store import read_failure, read_manifest


def remove_results(ctx: Context, job: JobRecord) -> JobRecord:
    """Remove the job's manifest, failure, stems, peaks, cover and previews, and record that.

    It can be repeated: the record changes last. Raises RetryLater.
    """
    if fits(failure_key(job.key)):  # otherwise there can be no results
        _remove_objects(ctx, job)
    return _record_removal(ctx, job)


def remove_song(ctx: Context, job: JobRecord) -> bool:
    """Remove the song, if it is still the one that the job separated, and return whether it was.

    Raises RetryLater.
    """
    exists = has_song(ctx, job)
    if exists:
        ctx.songs.remove(job.key)
    return exists


def has_song(ctx: Context, job: JobRecord) -> bool:
    """Return whether the song is still the one that the job is about. Raises RetryLater."""
    return any(
        song.object_name == job.key and etag_of(song) == job.etag.strip('"')
        for song in ctx.songs.list(job.key, recursive=False)
    )


def remove_failure(ctx: Context, job: JobRecord) -> None:
    """Remove the failure of this job, if there is one. Raises RetryLater."""
    failure = read_failure(ctx.stems, job.key)
    if failure and failure.job == job.id:
        ctx.stems.remove(failure_key(job.key))


def notice_removal(ctx: Context, job: JobRecord) -> tuple[JobRecord, Set[str]]:
    """Return the job, and the files of its stems that exist.

    If its manifest is gone, or all its stems are, that is recorded first. If the store is away,
    everything counts as existing.
    """
    if job.state != JobState.DONE or job.removed:
        return job, {*job.stems}
    try:
        manifest = read_manifest(ctx.stems, job.key)
        listed = {item.object_name for item in ctx.stems.list(f"{job.key}/", recursive=False)}
        existing = {file for file in job.stems if f"{job.key}/{file}" in listed}
        if existing and manifest and manifest.job == job.id:
            return job, existing
        return _record_removal(ctx, job), set()
    except RetryLater:
        return job, {*job.stems}


def _remove_objects(ctx: Context, job: JobRecord) -> None:
    manifest, failure = read_manifest(ctx.stems, job.key), read_failure(ctx.stems, job.key)
    if _is_of_another_job(job, manifest) or _is_of_another_job(job, failure):
        return
    files = {*job.stems, *(stem.file for stem in (manifest.stems if manifest else []))}
    # First the result documents, so that nobody reads a manifest whose stems are gone.
    ctx.stems.remove(manifest_key(job.key))
    ctx.stems.remove(failure_key(job.key))
    for file in files:
        ctx.stems.remove(f"{job.key}/{file}")
    for key in (peaks_key(job.key), *cover_keys(job.key)):
        ctx.stems.remove(key)
    ctx.stems.remove_prefix(preview_prefix(job.key))


def _is_of_another_job(job: JobRecord, result: Manifest | Failure | None) -> bool:
    return result is not None and result.job != job.id


def _record_removal(ctx: Context, job: JobRecord) -> JobRecord:
    time = now()

    def change(record: JobRecord) -> bool:
        if record.state != job.state or record.finished != job.finished or record.removed:
            return False  # it was sent again, or is recorded already
        record.remove_results(time)
        return True

    return change_record(ctx.bus, ctx.jobs, job.id, change) or job
