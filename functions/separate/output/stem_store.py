"""The objects of one job in the output bucket: stems, peaks, a cover, previews, and a document.

Stems are written first and the result document (manifest or failure) last: it is the marker that
everything else is complete.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from functions.separate.audio.retitle import HEAD_BYTES, retitle
from functions.separate.job import Job
from functions.separate.output.fence import NO_FENCE, Fence, IsDone, never
from functions.separate.output.multipart import Upload
from functions.separate.output.preview import Preview
from microdemucs import result_store
from microdemucs.bucket import Bucket, etag_of
from microdemucs.covers import cover_keys, cover_name, cover_type
from microdemucs.jobs import peaks_preview_key, preview_prefix
from microdemucs.manifest import (
    CoverEntry,
    Failure,
    Manifest,
    PeaksEntry,
    StemEntry,
    failure_key,
    manifest_key,
)
from microdemucs.options import CONTENT_TYPES
from microdemucs.peaks import PEAKS_TYPE, Peaks, peaks_key
from microdemucs.problems import is_after
from microdemucs.result_store import FAILURE_TYPE, MANIFEST_TYPE
from microdemucs.store import ObjectChanged

_Entry = TypeVar("_Entry", PeaksEntry | UnsetType, CoverEntry | UnsetType)


class StemStore:
    """The output bucket, for one job. Every method raises RetryLater, also if `fence` does."""

    def __init__(self, stems: Bucket, job: Job, fence: Fence = NO_FENCE) -> None:
        self._stems = stems
        self._fence = fence
        self._job = job
        self._song_key = job.song.key

    def read_manifest(self, song_key: str) -> Manifest | None:
        """Return the manifest of the song at `song_key` if all its objects exist, else None."""
        manifest = result_store.read_manifest(self._stems, song_key)
        return manifest if manifest and self._has_all_objects(manifest) else None

    def read_own_manifest(self) -> Manifest | None:
        """Return the manifest of this very job if the job is done, else None."""
        manifest = self.read_manifest(self._song_key)
        return manifest if manifest and manifest.job == self._job.id else None

    def read_own_failure(self) -> Failure | None:
        """Return the failure of this very job, else None.

        A failure that was decided before the song was put is not this job's: the song was put
        again since.
        """
        failure = result_store.read_failure(self._stems, self._song_key)
        if not failure or failure.job != self._job.id:
            return None
        return None if is_after(self._job.song.time, failure.decided) else failure

    def stem_key(self, file_name: str) -> str:
        """Return the key of the stem with this file name."""
        return f"{self._song_key}/{file_name}"

    def upload(self, key: str, content_type: str, file: BinaryIO) -> Upload:
        """Return an upload of `file`, which may still grow, to `key`."""
        return Upload(self._stems, key, content_type, file, self._fence)

    def preview(self, file_name: str, file: BinaryIO) -> Preview:
        """Return a preview of `file`, which still grows, under the stem's file name."""
        return Preview(self._stems, self._song_key, file_name, file, self._fence)

    def write_peaks_preview(self, peaks: Peaks) -> None:
        """Publish columns of stems that still grow."""
        self._fence.ensure_held()
        key = peaks_preview_key(self._song_key, peaks.header.start)
        self._stems.write(key, peaks.write(), PEAKS_TYPE)

    def write_peaks(self, document: bytes) -> str:
        """Write the peaks of all stems, and return their key."""
        key = peaks_key(self._song_key)
        self._put(key, document, PEAKS_TYPE)
        return key

    def write_cover(self, cover: bytes) -> CoverEntry:
        """Write the cover of the song, and return its entry in the manifest."""
        key, content_type = f"{self._song_key}/{cover_name(cover)}", cover_type(cover)
        self._put(key, cover, content_type)
        return CoverEntry(key, len(cover), content_type)

    def remove_previews(self) -> None:
        """Remove all preview chunks of the song, of stems and peaks."""
        self._fence.ensure_held()
        self._stems.remove_prefix(preview_prefix(self._song_key))

    def copy(
        self, stems: Iterable[StemEntry], title_of: Callable[[str], str] | None = None
    ) -> list[StemEntry]:
        """Copy another song's stems, and return the entries of the copies.

        They are copied within the store, unless they get other titles: `title_of` returns the
        title of the stem with a name. Raises ObjectChanged if one of them is gone.
        """
        copies = []
        for stem in stems:
            key, size = self.stem_key(stem.file), stem.size
            if key != stem.key:
                if title_of:
                    size = self._copy_retitled(stem, key, title_of(stem.name))
                else:
                    self._copy(stem.key, key)
            copies.append(msgspec.structs.replace(stem, key=key, size=size))
        return copies

    def copy_unchanged(self, entry: _Entry) -> _Entry:
        """Copy another object of another song within the store, if there is one.

        Return the entry of the copy. Raises ObjectChanged if the object is gone.
        """
        if entry is UNSET:
            return entry
        key = self.stem_key(entry.key.rsplit("/", 1)[-1])
        if key != entry.key:
            self._copy(entry.key, key)
        return msgspec.structs.replace(entry, key=key)

    def finish(self, manifest: Manifest) -> Manifest:
        """Remove what an earlier job left, and the previews; then write the manifest.

        Return the manifest that exists then: that of another run of this job if it was faster.
        """
        beside = self._objects_beside()
        earlier = self._made_by_jobs(beside) - manifest.objects.keys()
        self._remove(beside, [*earlier, failure_key(self._song_key)])
        self.remove_previews()
        key = manifest_key(self._song_key)
        if self._write(key, manifest.write(), MANIFEST_TYPE, self.read_own_manifest):
            return manifest
        return self.read_own_manifest() or manifest

    def fail(self, failure: Failure) -> Failure:
        """Remove what an earlier job left, and the previews; then write the failure.

        Return the failure that exists then: that of another run of this job if it was faster.
        """
        beside = self._objects_beside()
        self._remove(beside, [manifest_key(self._song_key), *self._made_by_jobs(beside)])
        self.remove_previews()
        key = failure_key(self._song_key)
        if self._write(key, failure.write(), FAILURE_TYPE, self.read_own_failure):
            return failure
        return self.read_own_failure() or failure

    def _has_all_objects(self, manifest: Manifest) -> bool:
        try:
            return all(self._stems.stat(key).size == size for key, size in manifest.objects.items())
        except ObjectChanged:
            return False

    def _objects_beside(self) -> dict[str, str]:
        """Return the objects beside the song, key → eTag."""
        listed = self._stems.list(f"{self._song_key}/", recursive=False)
        return {str(found.object_name): etag_of(found) for found in listed}

    def _made_by_jobs(self, keys: Iterable[str]) -> set[str]:
        """Return those that are keys of stems, of peaks or of a cover.

        A job that was interrupted before its manifest has left some that no manifest lists.
        """
        suffixes = tuple(f".{format_}" for format_ in CONTENT_TYPES)
        others = {peaks_key(self._song_key), *cover_keys(self._song_key)}
        return {key for key in keys if key.endswith(suffixes) or key in others}

    def _copy(self, key: str, to: str) -> None:
        def send(_: Mapping[str, str]) -> str:  # the store has no condition for copies
            return self._stems.copy(key, to=to).etag or ""

        self._fence.commit(to, send)

    def _copy_retitled(self, stem: StemEntry, to: str, title: str) -> int:
        """Copy a stem with another title, and return the copy's size in bytes."""
        etag = etag_of(self._stems.stat(stem.key))
        with self._stems.download(stem.key, size=HEAD_BYTES, etag=etag) as download:
            head = b"".join(download.chunks())
        new = retitle(head, title)
        if not new:
            self._copy(stem.key, to)
            return stem.size
        with tempfile.TemporaryFile() as file:
            file.write(new.data)
            with self._stems.download(stem.key, offset=new.replaced, etag=etag) as download:
                for chunk in download.chunks():
                    file.write(chunk)
            file.flush()
            upload = self.upload(to, stem.content_type, file)
            try:
                return upload.finish()
            finally:
                upload.abort()

    def _write(
        self,
        key: str,
        document: bytes,
        content_type: str,
        read_own: Callable[[], Manifest | Failure | None],
    ) -> bool:
        """Write a result document; return False if another run of this job has written its own."""
        return self._put(key, document, content_type, is_done=lambda: read_own() is not None)

    def _put(self, key: str, data: bytes, content_type: str, is_done: IsDone = never) -> bool:
        """Write a small object; return False if `is_done`."""

        def send(condition: Mapping[str, str]) -> str:
            return self._stems.put_if(key, data, content_type, condition).etag or ""

        return self._fence.commit(key, send, is_done)

    def _remove(self, beside: Mapping[str, str], keys: Iterable[str]) -> None:
        """Remove those of `keys` that exist and that this process may remove."""
        for key in sorted(keys):
            if key in beside and self._fence.may_remove(key, beside[key]):
                self._stems.remove(key)
