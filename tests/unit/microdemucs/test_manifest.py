import json

import pytest
from msgspec import structs

from microdemucs.manifest import (
    BadDocument,
    CoverEntry,
    Failure,
    Manifest,
    ModelInfo,
    PeaksEntry,
    SeparatedSong,
    StemEntry,
    StoredSong,
    failure_key,
    manifest_key,
)
from microdemucs.problems import Cancelled

MANIFEST = Manifest(
    job="j",
    song=SeparatedSong(bucket="songs", key="a ü.mp3", etag="e", sha256="f" * 64, seconds=3.0),
    options={"format": "flac"},
    stems=[StemEntry("drums", "a ü.mp3/drums.flac", 10, "audio/flac", scale=0.5)],
    model=ModelInfo("htdemucs"),
    finished="2026-11-22T17:25:45.706Z",
)
FAILURE = Failure(
    problem={"type": "urn:micro-demucs:problem:bad-option", "status": 422, "option": "format"},
    job="j",
    song=StoredSong(bucket="songs", key="a.mp3", etag="e"),
    options={"format": "mp4"},
    finished="2026-11-22T17:25:45.706Z",
)


def test_a_manifest_survives_writing_and_reading() -> None:
    assert Manifest.read(MANIFEST.write()) == MANIFEST


def test_members_without_a_value_are_left_out() -> None:
    written = json.loads(MANIFEST.write())
    assert "reused_from" not in written
    assert "note" not in written["model"]
    assert written["song"]["version"] == ""


def test_a_job_record_has_the_facts_of_the_song_that_are_known() -> None:
    assert MANIFEST.song.facts == {"sha256": "f" * 64, "seconds": 3.0}
    cover = CoverEntry("a ü.mp3/cover.png", 5, "image/png")
    song = structs.replace(MANIFEST.song, tags={"title": "A"}, loudness=-9.1, cover=cover)
    facts = {"tags": {"title": "A"}, "loudness": -9.1, "cover": "cover.png"}
    assert song.facts == MANIFEST.song.facts | facts


def test_a_manifest_lists_its_objects() -> None:
    cover = CoverEntry("a ü.mp3/cover.png", 5, "image/png")
    peaks = PeaksEntry("a ü.mp3/peaks.bin", 7, "application/octet-stream", 25, 75)
    song = structs.replace(MANIFEST.song, cover=cover)
    assert structs.replace(MANIFEST, song=song, peaks=peaks).objects == {
        "a ü.mp3/drums.flac": 10,
        "a ü.mp3/peaks.bin": 7,
        "a ü.mp3/cover.png": 5,
    }


def test_a_manifest_is_readable_by_people() -> None:
    text = MANIFEST.write().decode()
    assert '\n  "job": "j"' in text
    assert "a ü.mp3" in text


def test_unknown_members_are_ignored() -> None:
    members = json.loads(MANIFEST.write()) | {"later": 1}
    assert Manifest.read(json.dumps(members).encode()) == MANIFEST


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b'{"job": 1}', "job"),
        (MANIFEST.write().replace(b'"size": 10', b'"size": "10"'), r"stems\[0\].size"),
        (b"[" * 100_000, "object"),
        (b"\xff\xfe", "malformed"),
    ],
    ids=["empty", "a list", "a number", "wrong inside", "deep", "not UTF-8"],
)
def test_a_text_that_is_no_manifest_is_named(text: bytes, named: str) -> None:
    with pytest.raises(BadDocument, match=named):
        Manifest.read(text)


def test_a_failure_is_a_problem_with_members_about_the_job() -> None:
    written = json.loads(FAILURE.write())
    assert list(written)[:3] == ["type", "status", "option"]
    assert written["job"] == "j"
    assert Failure.read(FAILURE.write()) == FAILURE


def test_a_failure_tells_a_cancelled_job() -> None:
    cancelled = {"type": "urn:micro-demucs:problem:cancelled"}
    members = json.loads(FAILURE.write()) | cancelled
    assert Failure.read(json.dumps(members).encode()).is_cancelled
    assert not FAILURE.is_cancelled


def test_a_failure_without_a_job_is_named() -> None:
    with pytest.raises(BadDocument, match="job"):
        Failure.read(b'{"type": "urn:x"}')


def test_a_stem_is_named_by_its_file() -> None:
    assert MANIFEST.stems[0].file == "drums.flac"


def test_result_documents_are_beside_the_song() -> None:
    assert manifest_key("dir/a.mp3") == "dir/a.mp3/manifest.json"
    assert failure_key("dir/a.mp3") == "dir/a.mp3/failure.json"


def test_a_cancelled_job_is_decided_when_it_was_cancelled() -> None:
    cancelled = structs.replace(FAILURE, problem=Cancelled("2026-11-20T00:00:00.000Z").body())
    assert cancelled.decided == "2026-11-20T00:00:00.000Z"
    assert FAILURE.decided == FAILURE.finished
