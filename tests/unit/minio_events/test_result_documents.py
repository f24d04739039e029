"""What a result document says about its job."""

from datetime import UTC, datetime
from typing import Any

import pytest

from microdemucs.jobs import JobState
from microdemucs.manifest import Failure, Manifest, ModelInfo, SeparatedSong, StemEntry, StoredSong
from minio_events.result_documents import ResultDocument, record_of

JOB: dict[str, Any] = {
    "job": "5d41402abc4b2a76b9719d911017c592",
    "trace": "0af7651916cd43dd8448eb211c80319c",
    "options": {"format": "flac"},
    "created": "2026-11-22T17:25:34.000Z",
    "started": "2026-11-22T17:25:35.000Z",
    "finished": "2026-11-22T17:25:36.000Z",
}
MANIFEST = Manifest(
    song=SeparatedSong(
        bucket="songs", key="dir/a.mp3", etag="e1", size=10, sha256="5" * 64, seconds=3.0
    ),
    stems=[StemEntry("drums", "dir/a.mp3/drums.flac", 5, "audio/flac")],
    model=ModelInfo("htdemucs"),
    warnings=["clipped"],
    **JOB,
)


def failure(kind: str) -> Failure:
    problem = {"type": f"urn:micro-demucs:problem:{kind}", "title": "No", "status": 422}
    song = StoredSong(bucket="songs", key="dir/a.mp3", etag="e1", size=10)
    return Failure(problem=problem, song=song, **JOB)


@pytest.mark.parametrize(
    ("name", "is_manifest"), [("manifest.json", True), ("failure.json", False)]
)
def test_a_document_is_named_after_its_song(name: str, is_manifest: bool) -> None:
    document = ResultDocument(f"dir/a.mp3/{name}", "e1", datetime.now(UTC))
    assert (document.song_key, document.is_manifest) == ("dir/a.mp3", is_manifest)


@pytest.mark.parametrize("result", [MANIFEST, failure("not-audio")], ids=["manifest", "failure"])
def test_a_record_has_the_song_and_the_times_of_the_document(result: Manifest | Failure) -> None:
    record = record_of(result)
    assert (record.id, record.trace, record.options) == (JOB["job"], JOB["trace"], JOB["options"])
    assert (record.bucket, record.key, record.etag, record.size) == ("songs", "dir/a.mp3", "e1", 10)
    assert (record.created, record.started) == (JOB["created"], JOB["started"])
    assert (record.finished, record.updated) == (JOB["finished"], JOB["finished"])


def test_a_manifest_is_a_done_job() -> None:
    record = record_of(MANIFEST)
    assert (record.state, record.progress, record.problem) == (JobState.DONE, 1.0, None)
    assert (record.model, record.stems, record.warnings) == (
        *("htdemucs", ["drums.flac"]),
        ["clipped"],
    )
    assert record.song == {"sha256": "5" * 64, "seconds": 3.0}


@pytest.mark.parametrize(
    ("kind", "state"), [("not-audio", JobState.FAILED), ("cancelled", JobState.CANCELLED)]
)
def test_a_failure_is_a_failed_or_cancelled_job_with_its_problem(
    kind: str, state: JobState
) -> None:
    record = record_of(failure(kind))
    assert (record.state, record.progress) == (state, 0.0)
    assert record.problem == failure(kind).problem
