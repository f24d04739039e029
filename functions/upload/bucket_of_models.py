"""What the bucket of models says: the separate function's record, and the models in the bucket.

It is read for each request, so a model counts from the moment its last file is there. Of a file
of weights only the header is read, once.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from microdemucs.bucket import Bucket
from microdemucs.manifest import BadDocument
from microdemucs.models import UnusableWeights
from microdemucs.models.catalogue import (
    MAX_RECORD_BYTES,
    RECORD_KEY,
    UNKNOWN,
    Catalogue,
    Location,
    ModelEntry,
    ModelsRecord,
)
from microdemucs.models.description import describe
from microdemucs.models.ensemble import WEIGHT_SUFFIXES
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)

_MAX_REMEMBERED = 1000


class _Version(NamedTuple):
    """One version of a model: its files with their eTags, and the engines that may run it."""

    name: str
    files: tuple[tuple[str, int, str], ...]
    engines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _FilesInBucket:
    bucket: Bucket
    version: _Version

    def sizes(self) -> Mapping[str, int]:
        return {name: size for name, size, _ in self.version.files}

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of an object. Raises RetryLater, ObjectChanged."""
        [(whole, etag)] = [(file[1], file[2]) for file in self.version.files if file[0] == name]
        size = min(size, whole - offset)
        if size <= 0:
            return b""
        key = f"{self.version.name}/{name}"
        with self.bucket.download(key, offset=offset, size=size, etag=etag) as download:
            return b"".join(download.chunks())


class BucketOfModels:
    """The bucket of models. Thread-safe."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._described: dict[_Version, ModelEntry] = {}
        self._lock = threading.Lock()

    def catalogue(self) -> Catalogue:
        """Return all models that are known now. Raises RetryLater."""
        record = self._read_record()
        engines = (record or UNKNOWN).engines
        entries = []
        for version in self._list(engines):
            try:
                entries.append(self._describe(version))
            except ObjectChanged:  # it is being replaced: until then it cannot be used
                continue
        return Catalogue(record, entries)

    def _read_record(self) -> ModelsRecord | None:
        text = self._bucket.read(RECORD_KEY, MAX_RECORD_BYTES)
        try:
            return ModelsRecord.read(text) if text is not None else None
        except BadDocument as error:
            about = {"key": RECORD_KEY, "why": str(error)}
            log.warning("document ignored: it cannot be read", extra=about)
            return None

    def _list(self, engines: Sequence[str]) -> list[_Version]:
        """Return the folders in the bucket that have files of weights."""
        try:
            objects = self._bucket.list()
        except ObjectChanged:  # no such bucket
            return []
        files: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
        for found in objects:
            folder, _, file = str(found.object_name).partition("/")
            if file and "/" not in file and found.size:
                files[folder].append((file, found.size, str(found.etag)))
        return [
            _Version(name, tuple(sorted(listed)), tuple(engines))
            for name, listed in files.items()
            if any(file.endswith(WEIGHT_SUFFIXES) for file, _, _ in listed)
        ]

    def _describe(self, version: _Version) -> ModelEntry:
        with self._lock:
            if version in self._described:
                return self._described[version]
        try:
            facts = describe(version.name, _FilesInBucket(self._bucket, version), version.engines)
            entry = ModelEntry(name=version.name, location=Location.BUCKET, facts=facts)
        except UnusableWeights as error:
            entry = ModelEntry(name=version.name, location=Location.BUCKET, reason=str(error))
        with self._lock:
            while len(self._described) >= _MAX_REMEMBERED:
                del self._described[next(iter(self._described))]
            self._described[version] = entry
        return entry
