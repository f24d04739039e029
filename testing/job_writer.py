"""Write job records, stems and manifests to a real store and bus, as the separate function does."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.bus import JOBS, Bus
from microdemucs.covers import cover_name, cover_type
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, JobState
from microdemucs.keys import hash_in_key
from microdemucs.manifest import (
    CoverEntry,
    Manifest,
    ModelInfo,
    PeaksEntry,
    SeparatedSong,
    StemEntry,
)
from microdemucs.options import CONTENT_TYPES
from microdemucs.peaks import PEAKS_TYPE, RATE, Peaks, peaks_key
from microdemucs.problems import now
from microdemucs.result_store import write_manifest
from testing.stack import Stack

STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True, slots=True)
class JobWriter:
    """Writes what the separate function writes, with that function's rights."""

    bus: Bus
    songs: Bucket
    stems: Bucket

    @staticmethod
    def connect(stack: Stack) -> "JobWriter":
        """Connect to the store and the bus of this stack."""
        client = store.connect(stack.store_settings("separate"))
        bus = Bus(stack.bus_settings("separate"), "tests")
        return JobWriter(bus, Bucket(client, "songs"), Bucket(client, "stems"))

    def write_record(self, record: JobRecord, **changes: Any) -> JobRecord:
        """Write the job record with these changes, and return it."""
        changed = msgspec.structs.replace(record, **changes)
        self.bus.put(JOBS, changed.id, changed.write())
        return changed

    def write_stems(
        self,
        key: str,
        stems: Mapping[str, bytes],
        *,
        job: str = "0" * 32,
        options: Mapping[str, Any] | None = None,
        scale: float | None = None,
        peaks: Peaks | None = None,
        seconds: float = 1.0,
        tags: Mapping[str, str] | None = None,
        cover: bytes = b"",
    ) -> None:
        """Write the stems, given by file name, and then the manifest of the song `key`."""
        entries = []
        for file, data in stems.items():
            content_type = CONTENT_TYPES[file.rpartition(".")[2]]
            self.stems.write(f"{key}/{file}", data, content_type)
            entries.append(
                StemEntry(
                    name=file.partition(".")[0],
                    key=f"{key}/{file}",
                    size=len(data),
                    content_type=content_type,
                    scale=UNSET if scale is None else scale,
                )
            )
        manifest = Manifest(
            job=job,
            song=SeparatedSong(
                bucket="songs",
                key=key,
                etag="",
                sha256=hash_in_key(key) or "0" * 64,
                seconds=seconds,
                tags=UNSET if tags is None else dict(tags),
                cover=self._write_cover(key, cover) if cover else UNSET,
            ),
            options=dict(options or {}),
            stems=entries,
            peaks=self._write_peaks(key, peaks) if peaks else UNSET,
            model=ModelInfo("htdemucs_tiny"),
            finished=now(),
        )
        write_manifest(self.stems, manifest)

    def finish(
        self,
        record: JobRecord,
        stems: Mapping[str, bytes],
        peaks: Peaks | None = None,
        *,
        seconds: float = 1.0,
        tags: Mapping[str, str] | None = None,
        cover: bytes = b"",
    ) -> JobRecord:
        """Write the stems, the manifest and the record of a job that is done."""
        about: dict[str, Any] = {"job": record.id, "options": record.options, "seconds": seconds}
        self.write_stems(record.key, stems, peaks=peaks, tags=tags, cover=cover, **about)
        return self.write_record(record, state=JobState.DONE, progress=1.0, stems=list(stems))

    def _write_peaks(self, key: str, peaks: Peaks) -> PeaksEntry:
        document = peaks.write()
        self.stems.write(peaks_key(key), document, PEAKS_TYPE)
        return PeaksEntry(peaks_key(key), len(document), PEAKS_TYPE, RATE, peaks.stop)

    def _write_cover(self, key: str, cover: bytes) -> CoverEntry:
        name, content_type = f"{key}/{cover_name(cover)}", cover_type(cover)
        self.stems.write(name, cover, content_type)
        return CoverEntry(name, len(cover), content_type)


def new_job(key: str, **metadata: str) -> JobRecord:
    """Return the record of a song that has just been stored at `key`."""
    etag = hashlib.md5(key.encode()).hexdigest()
    return JobRecord.of(ObjectCreated("songs", key, 1000, etag, metadata=metadata))
