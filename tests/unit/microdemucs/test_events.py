"""The messages in captures/ come from a real MinIO; see its README."""

import pytest
from cloudevents.http import CloudEvent

from microdemucs.events import (
    MalformedMessage,
    ObjectCreated,
    created_objects,
    notification,
    object_from_record,
)
from microdemucs.paths import ROOT

CAPTURES = ROOT / "tests/captures"


def captured(name: str) -> list[tuple[CloudEvent, ObjectCreated]]:
    return list(created_objects((CAPTURES / f"{name}.json").read_bytes()))


@pytest.mark.parametrize(
    ("name", "key", "type_"),
    [
        ("put", "dir/a b+ü 100%.mp3", "Put"),
        ("put-percent-key", "x%2Fy.MP3", "Put"),
        ("multipart", "multi.flac", "CompleteMultipartUpload"),
        ("copy", "copy.mp3", "Copy"),
        ("presigned-post", "form/my song.mp3", "Post"),
    ],
)
def test_a_new_object_is_an_event_whose_subject_is_the_key(name: str, key: str, type_: str) -> None:
    [(event, created)] = captured(name)
    assert event["subject"] == created.key == key
    assert event["type"] == f"com.amazonaws.s3.ObjectCreated:{type_}"
    assert event["source"] == "minio:s3..songs"


@pytest.mark.parametrize("name", ["tagging", "delete", "delete-versioned"])
def test_a_change_without_new_content_is_no_event(name: str) -> None:
    assert captured(name) == []


def test_user_metadata_loses_its_prefix_and_case() -> None:
    [(_, created)] = captured("put")
    assert created.metadata == {"model": "htdemucs_ft", "two-stems": "vocals"}


def test_the_version_of_an_object_is_kept() -> None:
    [(_, created)] = captured("put-versioned")
    assert created.version


@pytest.mark.parametrize("message", [b"", b"[]", b'{"Records": [{}]}', b'{"Records": 3}', b"\xff"])
def test_a_message_that_is_no_notification_is_malformed(message: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not a bucket notification"):
        list(created_objects(message))


def test_a_null_version_is_no_version() -> None:
    [(_, created)] = captured("put-folder")
    assert created.version == ""


@pytest.mark.parametrize(
    ("key", "content_type", "is_song"),
    [
        ("a.mp3", "binary/octet-stream", True),
        ("A.OpUs", "", True),
        ("no-suffix", "audio/flac", True),
        ("song.unknown", "application/octet-stream", True),
        ("clip.mp4", "video/mp4", True),
        ("notes.txt", "text/plain", False),
        ("album.mp3/", "", False),
        ("v.mp3/.live/t.ogg", "audio/ogg", False),
        (".ranges/j/a.mp3", "audio/mpeg", False),
        (".live/a.mp3", "", True),
        ("a/.ranges/b.mp3", "", True),
    ],
)
def test_every_object_is_a_song_that_is_not_clearly_unrelated(
    key: str, content_type: str, is_song: bool
) -> None:
    created = ObjectCreated("songs", key, 1, "e", content_type=content_type)
    assert created.is_song is is_song


@pytest.mark.parametrize("name", ["put", "put-percent-key", "put-versioned", "multipart"])
def test_a_notification_of_the_sweep_equals_one_of_the_store(name: str) -> None:
    [(event, created)] = captured(name)
    [(again, recreated)] = created_objects(notification(created, "sweep"))
    assert recreated == created
    assert (again["subject"], again["source"]) == (event["subject"], event["source"])
    assert object_from_record(again.data) == created
