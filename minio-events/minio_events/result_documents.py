"""The manifests and failures in the output bucket: which jobs have a result."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from microdemucs.bucket import Bucket
from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import FAILURE, MANIFEST, Failure, Manifest
from microdemucs.result_store import read_failure, read_manifest
from microdemucs.store import map_store_errors
from microdemucs.submitters import submitter_of


@dataclass(frozen=True, slots=True)
class ResultDocument:
    """A manifest.json or failure.json in the output bucket, as the bucket's listing shows it."""

    key: str
    etag: str
    modified: datetime

    @property
    def song_key(self) -> str:
        """The key, in the input bucket, of its song."""
        return self.key.rsplit("/", 1)[0]

    @property
    def is_manifest(self) -> bool:
        """Whether it is a manifest, rather than a failure."""
        return self.key.endswith(f"/{MANIFEST}")


def list_result_documents(stems: Bucket) -> Iterator[ResultDocument]:
    """Yield every result document. Raises RetryLater."""
    # Not Bucket.list: most objects are stems, and all of them at once may not fit into memory.
    with map_store_errors():
        for listed in stems.client.list_objects(stems.name, recursive=True):
            key = listed.object_name or ""
            if key.endswith((f"/{MANIFEST}", f"/{FAILURE}")) and listed.last_modified:
                yield ResultDocument(key, listed.etag or "", listed.last_modified)


def read_result_document(stems: Bucket, document: ResultDocument) -> Manifest | Failure | None:
    """Return the document's content; None if it is gone or cannot be read. Raises RetryLater."""
    if document.is_manifest:
        return read_manifest(stems, document.song_key)
    return read_failure(stems, document.song_key)


def record_of(result: Manifest | Failure) -> JobRecord:
    """Return the last record of the job that ended with this result."""
    record = JobRecord(
        id=result.job,
        bucket=result.song.bucket,
        key=result.song.key,
        etag=result.song.etag,
        version=result.song.version,
        size=result.song.size,
        submitter=submitter_of(result.song.key, {}),  # a token's id is not in the document
        options=result.options,
        created=result.created,
        updated=result.finished,
        started=result.started,
        finished=result.finished,
        trace=result.trace,
    )
    if isinstance(result, Failure):
        record.state = JobState.CANCELLED if result.is_cancelled else JobState.FAILED
        record.problem = result.problem
        return record
    record.state = JobState.DONE
    record.progress = 1.0
    record.model = result.model.name
    record.stems = [stem.file for stem in result.stems]
    record.warnings = result.warnings
    record.song = result.song.facts
    return record
