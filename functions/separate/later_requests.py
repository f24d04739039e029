"""What happened to a job's song since the job's event: of several requests the latest one wins."""

from dataclasses import replace

from functions.separate.audio.download import ensure_unchanged
from functions.separate.job import Job
from functions.separate.output.stem_store import StemStore
from microdemucs.bucket import Bucket, etag_of, user_metadata
from microdemucs.jobs import FINISHED, JobRecord, job_id
from microdemucs.problems import is_after
from microdemucs.store import ObjectChanged


class LaterRequests:
    """The later requests for a job's song. Every method raises RetryLater.

    `record` is the job's record from before this run, if there was one.
    """

    def __init__(
        self, job: Job, songs: Bucket, stem_store: StemStore, record: JobRecord | None
    ) -> None:
        self._song = job.song
        self._songs = songs
        self._stem_store = stem_store
        self._record = record

    def have_overtaken(self) -> bool:
        """Return whether one of them, with other options, is done already."""
        song = self._song
        manifest = self._stem_store.read_manifest(song.key)
        if manifest is None or is_after(manifest.created, song.time):
            return manifest is not None
        # The song may have been put again since, with the options of the result that exists.
        return bool(self.time_put_after(song.time)) and self._stored_job() == manifest.job

    def replaced_song(self) -> bool:
        """Return whether the song was removed or overwritten since the job's event."""
        try:
            ensure_unchanged(self._songs, self._song)
        except ObjectChanged:
            return True
        return False

    def waits_after(self, time: str) -> bool:
        """Return whether the job was sent again after `time`, and its record waits for that."""
        record = self._record
        return bool(record and record.state not in FINISHED and is_after(record.created, time))

    def time_put_after(self, time: str) -> str:
        """Return when the same song was put again after `time`, or ""."""
        song = self._song
        for listed in self._songs.list(song.key, recursive=False):
            is_same = listed.object_name == song.key and etag_of(listed) == song.etag
            put = listed.last_modified.isoformat() if listed.last_modified else ""
            if is_same and is_after(put, time):
                return put
        return ""

    def _stored_job(self) -> str:
        """Return the id of the job that the song in the bucket asks for, "" if it is gone."""
        try:
            stat = self._songs.stat(self._song.key)
        except ObjectChanged:
            return ""
        version = self._song.version and (stat.version_id or "")
        metadata = user_metadata(stat)
        return job_id(replace(self._song, version=version, metadata=metadata))
