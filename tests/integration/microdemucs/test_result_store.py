import logging

import pytest

from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.manifest import (
    BadDocument,
    Failure,
    Manifest,
    ModelInfo,
    SeparatedSong,
    StemEntry,
    StoredSong,
    failure_key,
    manifest_key,
)
from microdemucs.result_store import (
    is_result_document,
    read_failure,
    read_manifest,
    read_result_document,
    write_failure,
    write_manifest,
)
from microdemucs.settings import StoreSettings

JOB = "0123456789abcdef" * 2
FINISHED = "2026-11-22T17:25:45.706Z"


@pytest.fixture
def stems(separate_user: dict[str, str]) -> Bucket:
    settings = StoreSettings(
        separate_user["STORE_URL"],
        access_key=separate_user["STORE_ACCESS_KEY"],
        secret_key=separate_user["STORE_SECRET_KEY"],
    )
    return Bucket(store.connect(settings), "stems")


def test_a_manifest_is_beside_its_song(stems: Bucket) -> None:
    song = SeparatedSong(bucket="songs", key="m/a ü.mp3", etag="e", sha256="f" * 64, seconds=1.0)
    manifest = Manifest(
        job=JOB, song=song, options={}, stems=[], model=ModelInfo("m"), finished=FINISHED
    )
    write_manifest(stems, manifest)
    assert read_manifest(stems, "m/a ü.mp3") == manifest
    assert read_result_document(stems, "m/a ü.mp3/manifest.json") == manifest
    assert stems.stat(manifest_key("m/a ü.mp3")).content_type == "application/json"


def test_a_failure_is_beside_its_song(stems: Bucket) -> None:
    song = StoredSong(bucket="songs", key="f/a.mp3", etag="e")
    failure = Failure(problem={"type": "t"}, job=JOB, song=song, options={}, finished=FINISHED)
    write_failure(stems, failure)
    assert read_failure(stems, "f/a.mp3") == failure
    assert read_result_document(stems, "f/a.mp3/failure.json") == failure
    assert stems.stat(failure_key("f/a.mp3")).content_type == "application/problem+json"


def test_a_song_without_a_result(stems: Bucket) -> None:
    assert read_manifest(stems, "none.mp3") is None
    assert read_failure(stems, "none.mp3") is None
    assert read_result_document(stems, "none.mp3/manifest.json") is None


def test_a_huge_object_is_no_document_and_is_not_read_whole(stems: Bucket) -> None:
    stems.write(failure_key("huge.mp3"), b"[" * 20_000_000, "application/json")
    with pytest.raises(BadDocument, match="more than 1048576 bytes"):
        read_result_document(stems, "huge.mp3/failure.json")


def test_a_manifest_that_names_objects_of_another_song_is_ignored(stems: Bucket) -> None:
    song = SeparatedSong(bucket="songs", key="m/b.mp3", etag="e", sha256="f" * 64, seconds=1.0)
    foreign = StemEntry("drums", "m/another.mp3/drums.mp3", 1, "audio/mpeg")
    manifest = Manifest(
        job=JOB, song=song, options={}, stems=[foreign], model=ModelInfo("m"), finished=FINISHED
    )
    write_manifest(stems, manifest)
    assert read_manifest(stems, "m/b.mp3") is None


@pytest.mark.parametrize("text", [b"", b"[[", b"{}", b'{"job": 1}', b"\xff", b"[" * 100_000])
def test_a_document_that_cannot_be_read_is_logged_and_ignored(
    stems: Bucket, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stems.write(manifest_key("broken.mp3"), text, "application/json")
    with caplog.at_level(logging.WARNING):
        assert read_manifest(stems, "broken.mp3") is None
    assert [record.message for record in caplog.records] == ["document ignored: it cannot be read"]


def test_reading_a_result_document_names_the_one_that_cannot_be_read(stems: Bucket) -> None:
    stems.write(failure_key("broken.mp3"), b"[[", "application/json")
    with pytest.raises(BadDocument, match=r"^broken\.mp3/failure\.json: "):
        read_result_document(stems, "broken.mp3/failure.json")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("dir/a.mp3/manifest.json", True),
        ("a.mp3/failure.json", True),
        ("a.mp3/drums.mp3", False),
        ("manifest.json.mp3/drums.mp3", False),
        ("manifest.json", False),
    ],
)
def test_a_result_document_is_known_by_its_key(key: str, expected: bool) -> None:
    assert is_result_document(key) == expected
