"""What lies in the output bucket beside a song, and how it comes and goes.

Stems first, the manifest (or the failure) last: it is the mark that the rest is there.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from minio import Minio
from minio.commonconfig import CopySource

from functions.separate.job import Job
from functions.separate.output.multipart import Upload
from functions.separate.output.preview import Preview
from microdemucs.jobs import preview_prefix
from microdemucs.manifest import failure_key, manifest_key
from microdemucs.problems import CONTENT_TYPE, Problem
from microdemucs.store import ObjectChanged, map_store_errors, read_json, remove_all, write_json

Document = dict[str, Any]


class StemStore:
    """The output bucket, where it is this job's. Every method raises RetryLater."""

    def __init__(self, store: Minio, bucket: str, job: Job) -> None:
        self._store = store
        self._bucket = bucket
        self._job = job

    def manifest(self, song_key: str = "") -> Document | None:
        """The manifest beside `song_key` (the job's own song) if all its stems are there."""
        manifest = read_json(
            self._store, self._bucket, manifest_key(song_key or self._job.song.key)
        )
        return manifest if manifest and self._complete(manifest) else None

    def done(self) -> Document | None:
        """The manifest of this very job, where it is done."""
        manifest = self.manifest()
        return manifest if manifest and manifest.get("job") == self._job.id else None

    def refused(self) -> Document | None:
        """The failure of this very job, where it has been told since the event happened."""
        failure = read_json(self._store, self._bucket, failure_key(self._job.song.key))
        if not failure or failure.get("job") != self._job.id:
            return None
        return failure if not _is_after(self._job.song.time, failure["finished"]) else None

    def stem_key(self, file: str) -> str:
        """Where a stem with this file name lies."""
        return f"{self._job.song.key}/{file}"

    def upload(self, key: str, type_: str, file: BinaryIO) -> Upload:
        """An upload of `file`, which may still grow, to `key`."""
        return Upload(self._store, self._bucket, key, type_, file)

    def pieces(self, name: str, file: BinaryIO) -> Preview:
        """What can be heard of the stem `name` while `file` grows."""
        return Preview(self._store, self._bucket, self._job.song.key, name, file)

    def clear_pieces(self) -> None:
        """Remove what could be heard."""
        remove_all(self._store, self._bucket, preview_prefix(self._job.song.key))

    def copy(self, stems: Iterable[Document]) -> list[Document]:
        """Copy another song's stems, within the store; what the manifest says of them.

        Raises ObjectChanged where one is gone.
        """
        described = []
        for stem in stems:
            key = self.stem_key(stem["key"].rsplit("/", 1)[1])
            if key != stem["key"]:
                with map_store_errors():
                    source = CopySource(self._bucket, stem["key"])
                    self._store.copy_object(self._bucket, key, source)
            described.append(stem | {"key": key})
        return described

    def finish(self, manifest: Document) -> None:
        """Take away what an earlier job left and what could be heard, then put the mark."""
        song, now_there = self._job.song.key, {stem["key"] for stem in manifest["stems"]}
        self._remove(self._stems_of_last() - now_there)
        self._remove({failure_key(song)})
        self.clear_pieces()
        self.mark(manifest)

    def mark(self, manifest: Document) -> None:
        """Put the manifest."""
        key = manifest_key(self._job.song.key)
        write_json(self._store, self._bucket, key, manifest, "application/json")

    def refuse(self, problem: Problem, document: Document) -> None:
        """Take away an earlier job's stems and mark, then say why there are none."""
        song = self._job.song.key
        stale = self._stems_of_last()
        self._remove({manifest_key(song)})
        self._remove(stale)
        self.clear_pieces()
        failure = problem.body() | document
        write_json(self._store, self._bucket, failure_key(song), failure, CONTENT_TYPE)

    def _complete(self, manifest: Document) -> bool:
        try:
            for stem in manifest["stems"]:
                with map_store_errors():
                    there = self._store.stat_object(self._bucket, stem["key"])
                if there.size != stem["size"]:
                    return False
        except (ObjectChanged, KeyError, TypeError):
            return False
        return True

    def _stems_of_last(self) -> set[str]:
        song = self._job.song.key
        manifest = read_json(self._store, self._bucket, manifest_key(song)) or {}
        keys = {str(stem.get("key", "")) for stem in manifest.get("stems", ())}
        return {key for key in keys if key.startswith(f"{song}/")}

    def _remove(self, keys: set[str]) -> None:
        for key in sorted(keys):
            with map_store_errors():
                self._store.remove_object(self._bucket, key)


def _is_after(time: str, other: str) -> bool:
    """Whether the RFC 3339 `time` is later; "" is not."""
    return bool(time) and datetime.fromisoformat(time) > datetime.fromisoformat(other)
