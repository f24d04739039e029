"""Marks: the manifests and failures in the output bucket, which say what has been dealt with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minio import Minio

from microdemucs import store
from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import FAILURE, MANIFEST


@dataclass(frozen=True, slots=True)
class ResultDocument:
    """A manifest.json or failure.json beside a song's stems."""

    key: str
    etag: str
    modified: datetime

    @property
    def song_key(self) -> str:
        """The key, in the input bucket, of the song it is about."""
        return self.key.rsplit("/", 1)[0]


def marks(there: Minio, bucket: str) -> Iterator[ResultDocument]:
    """Every mark in `bucket`. Raises problems.RetryLater."""
    with store.map_store_errors():
        for one in there.list_objects(bucket, recursive=True):
            key = one.object_name or ""
            if key.endswith((f"/{MANIFEST}", f"/{FAILURE}")) and one.last_modified:
                yield ResultDocument(key, one.etag or "", one.last_modified)


def record_of(mark: ResultDocument, document: dict[str, Any]) -> JobRecord:
    """The job's record as `document`, the content of `mark`, tells it.

    Raises KeyError where the document is none of ours.
    """
    song = document["song"]
    failed = mark.key.endswith(FAILURE)
    cancelled = str(document.get("type", "")).endswith(":cancelled")
    record = JobRecord(
        id=document["job"],
        bucket=song["bucket"],
        key=song["key"],
        etag=song["etag"],
        version=song.get("version", ""),
        size=song.get("size", 0),
        options=document.get("options", {}),
        state=JobState.CANCELLED if cancelled else JobState.FAILED if failed else JobState.DONE,
        progress=0.0 if failed else 1.0,
        created=document.get("created", ""),
        updated=document["finished"],
        started=document.get("started", ""),
        finished=document["finished"],
        trace=document.get("trace", ""),
        warnings=document.get("warnings", []),
    )
    if failed:
        told = ("type", "title", "status", "detail", "option", "accepts")
        record.problem = {name: document[name] for name in told if name in document}
    else:
        record.model = document["model"]["name"]
        record.stems = [stem["key"].rsplit("/", 1)[1] for stem in document["stems"]]
        record.song = {name: song[name] for name in ("sha256", "seconds") if name in song}
    return record
