import json
from base64 import b64decode
from datetime import UTC, datetime

import pytest
import urllib3

from functions.upload.presigned_form import file_name


def send(grant: dict, data: bytes, **changed: str) -> urllib3.BaseHTTPResponse:
    """POST a file as a browser's form does: the fields, then the file."""
    fields = list((grant["fields"] | changed).items())
    return urllib3.request(
        "POST", grant["url"], fields=[*fields, ("file", ("song.mp3", data, "audio/mpeg"))]
    )


def test_a_browser_may_put_exactly_this_song(client, separation):
    answer = client.post(
        "/apiv1/uploads", json={"filename": "Ä b+c.mp3", "options": {"format": "wav", "bits": 24}}
    )
    grant = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == grant["job"] == f"/apiv1/jobs/{grant['id']}"
    assert send(grant, b"a song").status == 204
    put = separation.store.stat_object("songs", f"form/{grant['id']}/Ä b+c.mp3")
    assert put.content_type == "audio/mpeg"
    assert put.metadata["x-amz-meta-format"] == "wav"
    assert put.metadata["x-amz-meta-bits"] == "24"


def test_leave_ends_after_an_hour_and_says_what_it_is_for(client):
    grant = client.post("/apiv1/uploads", json={"filename": "a.mp3"}).json
    left = datetime.fromisoformat(grant["expires"]) - datetime.now(UTC)
    assert 3500 < left.total_seconds() <= 3600
    assert grant["limits"] == {"bytes": 2**30, "type": "audio/*"}
    policy = json.loads(b64decode(grant["fields"]["policy"]))
    assert ["content-length-range", 1, 2**30] in policy["conditions"]


def test_the_store_holds_to_what_was_granted(serve, separation):
    grant = serve(MAX_SONG_BYTES="1000").post("/apiv1/uploads", json={"filename": "a.mp3"}).json
    key = f"form/{grant['id']}/a.mp3"
    refused = [
        send(grant, b"x" * 1001),
        send(grant, b""),
        send(grant, b"x", key="elsewhere.mp3"),
        send(grant, b"x", **{"Content-Type": "text/html"}),
        send(grant, b"x", **{"x-amz-meta-model": "other"}),
    ]
    assert [answer.status // 100 for answer in refused] == [4] * 5
    assert not list(separation.store.list_objects("songs", prefix=key))
    assert send(grant, b"x" * 1000).status == 204


@pytest.mark.parametrize(
    ("filename", "type_", "granted"),
    [
        ("a.mp3", None, "audio/mpeg"),
        ("a.MP3", "application/octet-stream", "audio/mpeg"),
        ("a.ogg", "video/ogg", "audio/ogg"),
        ("a.m4a", "audio/x-m4a", "audio/x-m4a"),
        ("take 1", "audio/wav; codecs=1", "audio/wav"),
    ],
)
def test_the_type_is_audio_whatever_the_browser_thinks(client, filename, type_, granted):
    answer = client.post("/apiv1/uploads", json={"filename": filename, "type": type_})
    assert answer.json["fields"]["Content-Type"] == granted


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.mp3", "a.mp3"),
        ("C:\\music\\a.mp3", "a.mp3"),
        ("../../etc/a.mp3", "a.mp3"),
        ("a\x00\u202eb\n.mp3", "ab.mp3"),
        ("é.mp3", "é.mp3"),
        ("ü" * 300 + ".flac", "ü" * 97 + ".flac"),
    ],
)
def test_a_file_name_becomes_part_of_a_key(given, name):
    assert file_name(given) == name


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        ({}, "bad-value", "filename"),
        ({"filename": ""}, "bad-value", "filename"),
        ({"filename": "a/.."}, "bad-value", "filename"),
        ({"filename": 5}, "bad-value", "filename"),
        ({"filename": "notes.txt"}, "bad-value", ".mp3"),
        ({"filename": "notes.txt", "type": "text/plain"}, "bad-value", "audio/"),
        ({"filename": "a.mp3", "type": 5}, "bad-value", "type"),
        ({"filename": "a.mp3", "options": {"bitrate": 1}}, "bad-option", "bitrate"),
        ({"filename": "a.mp3", "options": "flac"}, "bad-value", "options"),
        ({"filename": "a.mp3", "size": 5}, "unknown-member", "size"),
    ],
)
def test_what_cannot_be_granted_is_told_why(client, body, kind, says):
    answer = client.post("/apiv1/uploads", json=body)
    assert (answer.status_code, answer.json["type"].rpartition(":")[2]) == (422, kind)
    assert says in answer.json["detail"]


def test_a_document_beyond_a_mebibyte_is_refused(client):
    answer = client.post("/apiv1/uploads", json={"filename": "x" * 2**20})
    assert (answer.status_code, answer.json["limit"]) == (413, 2**20)
