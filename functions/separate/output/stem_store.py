"""The objects of one job in the output bucket: stems, previews, and a result document.

Stems are written first and the result document (manifest or failure) last: it is the marker that
everything else is complete.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

import msgspec

from functions.separate.audio.retitle import HEAD_BYTES, retitle
from functions.separate.job import Job
from functions.separate.output.fence import NO_FENCE, Fence, etag_of
from functions.separate.output.multipart import Upload
from functions.separate.output.preview import Preview
from microdemucs import result_store
from microdemucs.bucket import Bucket
from microdemucs.jobs import preview_prefix
from microdemucs.manifest import Failure, Manifest, StemEntry, failure_key, manifest_key
from microdemucs.options import CONTENT_TYPES
from microdemucs.problems import is_after
from microdemucs.result_store import FAILURE_TYPE, MANIFEST_TYPE
from microdemucs.store import ObjectChanged


class StemStore:
    """The output bucket, for one job. Every method raises RetryLater, also if `fence` does."""

    def __init__(self, stems: Bucket, job: Job, fence: Fence = NO_FENCE) -> None:
        self._stems = stems
        self._fence = fence
        self._job = job
        self._song_key = job.song.key

    def read_manifest(self, song_key: str) -> Manifest | None:
        """Return the manifest of the song at `song_key` if all its stems exist, else None."""
        manifest = result_store.read_manifest(self._stems, song_key)
        return manifest if manifest and self._has_all_stems(manifest) else None

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

    def remove_previews(self) -> None:
        """Remove all preview chunks of the song."""
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

    def finish(self, manifest: Manifest) -> Manifest:
        """Remove what an earlier job left, and the previews; then write the manifest.

        Return the manifest that exists then: that of another run of this job if it was faster.
        """
        beside = self._objects_beside()
        stems = {stem.key for stem in manifest.stems}
        self._remove(beside, [*(_stem_keys(beside) - stems), failure_key(self._song_key)])
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
        self._remove(beside, [manifest_key(self._song_key), *_stem_keys(beside)])
        self.remove_previews()
        key = failure_key(self._song_key)
        if self._write(key, failure.write(), FAILURE_TYPE, self.read_own_failure):
            return failure
        return self.read_own_failure() or failure

    def _has_all_stems(self, manifest: Manifest) -> bool:
        try:
            return all(self._stems.stat(stem.key).size == stem.size for stem in manifest.stems)
        except ObjectChanged:
            return False

    def _objects_beside(self) -> dict[str, str]:
        """Return the objects beside the song, key → eTag."""
        listed = self._stems.list(f"{self._song_key}/", recursive=False)
        return {str(found.object_name): etag_of(found) for found in listed}

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

        def send(condition: Mapping[str, str]) -> str:
            return self._stems.put_if(key, document, content_type, condition).etag or ""

        return self._fence.commit(key, send, is_done=lambda: read_own() is not None)

    def _remove(self, beside: Mapping[str, str], keys: Iterable[str]) -> None:
        """Remove those of `keys` that exist and that this process may remove."""
        for key in sorted(keys):
            if key in beside and self._fence.may_remove(key, beside[key]):
                self._stems.remove(key)


def _stem_keys(keys: Iterable[str]) -> set[str]:
    """Return those that are keys of stems.

    A job that was interrupted before its manifest has left some that no manifest lists.
    """
    suffixes = tuple(f".{format_}" for format_ in CONTENT_TYPES)
    return {key for key in keys if key.endswith(suffixes)}
