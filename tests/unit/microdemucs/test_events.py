"""The messages in captures/ come from a real MinIO; see its README."""

import pytest

from microdemucs.events import (
    MalformedMessage,
    ObjectCreated,
    created_objects,
    notification,
    object_from_record,
)
from microdemucs.paths import ROOT

CAPTURES = ROOT / "tests/captures"


def captured(name):
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
def test_new_bytes_become_an_event_whose_subject_is_the_key(name, key, type_):
    [(event, created)] = captured(name)
    assert event["subject"] == created.key == key
    assert event["type"] == f"com.amazonaws.s3.ObjectCreated:{type_}"
    assert event["source"] == "minio:s3..songs"


@pytest.mark.parametrize("name", ["tagging", "delete", "delete-versioned"])
def test_a_change_without_new_bytes_is_no_event(name):
    assert captured(name) == []


def test_user_metadata_loses_its_prefix_and_case():
    [(_, created)] = captured("put")
    assert created.metadata == {"model": "htdemucs_ft", "two-stems": "vocals"}


def test_versions_are_told_apart():
    [(_, created)] = captured("put-versioned")
    assert created.version


@pytest.mark.parametrize("message", [b"", b"[]", b'{"Records": [{}]}', b'{"Records": 3}', b"\xff"])
def test_what_is_no_notification_is_refused_with_the_reason(message):
    with pytest.raises(MalformedMessage, match="not a bucket notification"):
        list(created_objects(message))


def test_a_null_version_is_no_version():
    [(_, created)] = captured("put-folder")
    assert created.version == ""


@pytest.mark.parametrize(
    ("key", "content_type", "is_song"),
    [
        ("a.mp3", "binary/octet-stream", True),
        ("A.OpUs", "", True),
        ("no-suffix", "audio/flac", True),
        ("notes.txt", "text/plain", False),
        ("album.mp3/", "", False),
    ],
)
def test_a_song_is_known_by_suffix_in_any_case_or_by_content_type(key, content_type, is_song):
    created = ObjectCreated("songs", key, 1, "e", content_type=content_type)
    assert created.is_song is is_song


@pytest.mark.parametrize("name", ["put", "put-percent-key", "put-versioned", "multipart"])
def test_the_sweeps_own_notification_says_what_the_stores_own_said(name):
    [(event, created)] = captured(name)
    [(again, recreated)] = created_objects(notification(created, "sweep"))
    assert recreated == created
    assert (again["subject"], again["source"]) == (event["subject"], event["source"])
    assert object_from_record(again.data) == created
