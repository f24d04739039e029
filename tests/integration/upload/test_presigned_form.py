import json
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3

from testing.job_writer import JobWriter
from testing.web_client import WebClient


def send_form(upload: dict[str, Any], data: bytes, **changes: str) -> urllib3.BaseHTTPResponse:
    """POST a file as a browser's form does: the fields, then the file."""
    fields = list((upload["fields"] | changes).items())
    return urllib3.request(
        "POST", upload["url"], fields=[*fields, ("file", ("song.mp3", data, "audio/mpeg"))]
    )


def test_a_form_uploads_the_song_with_its_options(client: WebClient, job_writer: JobWriter) -> None:
    response = client.post(
        "/apiv1/uploads", json={"filename": "Ä b+c.mp3", "options": {"format": "wav", "bits": 24}}
    )
    upload = response.json
    assert response.status_code == 201
    assert response.headers["Location"] == upload["job"] == f"/apiv1/jobs/{upload['id']}"
    assert send_form(upload, b"a song").status == 204
    stored = job_writer.songs.stat(f"form/{upload['id']}/Ä b+c.mp3")
    assert stored.content_type == "audio/mpeg"
    assert stored.metadata is not None
    assert stored.metadata["x-amz-meta-format"] == "wav"
    assert stored.metadata["x-amz-meta-bits"] == "24"


@pytest.mark.parametrize("name", ["${filename}.mp3", "a ${${filename}} b.mp3", "$${filename}"])
def test_a_name_with_a_variable_of_the_store_is_accepted_by_it(
    client: WebClient, job_writer: JobWriter, name: str
) -> None:
    upload = client.post("/apiv1/uploads", json={"filename": name, "type": "audio/mpeg"}).json
    assert send_form(upload, b"a song").status == 204
    assert job_writer.songs.stat(upload["fields"]["key"]).size == 6


def test_a_form_names_the_token_that_asked_for_it(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    client = serve(API_TOKENS="token-one")
    headers = {"Authorization": "Bearer token-one"}
    upload = client.post("/apiv1/uploads", json={"filename": "a.mp3"}, headers=headers).json
    forged = {"x-amz-meta-submitter": "0" * 16}
    assert send_form(upload, b"a song", **forged).status == 403
    assert send_form(upload, b"a song").status == 204
    metadata = job_writer.songs.stat(f"form/{upload['id']}/a.mp3").metadata or {}
    assert len(metadata["x-amz-meta-submitter"]) == 16


def test_the_form_expires_after_an_hour_and_states_its_limits(client: WebClient) -> None:
    upload = client.post("/apiv1/uploads", json={"filename": "a.mp3"}).json
    left = datetime.fromisoformat(upload["expires"]) - datetime.now(UTC)
    assert 3500 < left.total_seconds() <= 3600
    assert upload["limits"] == {"bytes": 2**30, "type": "audio/*"}
    policy = json.loads(b64decode(upload["fields"]["policy"]))
    assert ["content-length-range", 1, 2**30] in policy["conditions"]


def test_a_form_for_a_video_accepts_exactly_its_type(
    client: WebClient, job_writer: JobWriter
) -> None:
    upload = client.post("/apiv1/uploads", json={"filename": "a.mp4", "type": "video/mp4"}).json
    assert upload["limits"]["type"] == "video/mp4"
    assert send_form(upload, b"x", **{"Content-Type": "video/quicktime"}).status // 100 == 4
    assert send_form(upload, b"a video").status == 204
    assert job_writer.songs.stat(f"form/{upload['id']}/a.mp4").content_type == "video/mp4"


def test_the_store_rejects_a_form_that_differs_from_the_signed_one(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    client = serve(MAX_SONG_BYTES="1000")
    upload = client.post("/apiv1/uploads", json={"filename": "a.mp3"}).json
    rejected = [
        send_form(upload, b"x" * 1001),
        send_form(upload, b""),
        send_form(upload, b"x", key="elsewhere.mp3"),
        send_form(upload, b"x", **{"Content-Type": "text/html"}),
        send_form(upload, b"x", **{"x-amz-meta-model": "other"}),
    ]
    assert [response.status // 100 for response in rejected] == [4] * 5
    assert job_writer.songs.list(f"form/{upload['id']}/a.mp3") == []
    assert send_form(upload, b"x" * 1000).status == 204


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        ({}, "bad-value", "filename is missing"),
        ({"filename": ""}, "bad-value", "filename is ''"),
        ({"filename": "a/.."}, "bad-value", "filename"),
        ({"filename": 5}, "bad-value", "filename is 5"),
        ({"filename": "notes.txt"}, "bad-value", ".mp3"),
        ({"filename": "notes.txt", "type": "text/plain"}, "bad-value", "audio/"),
        ({"filename": "a.mp3", "type": 5}, "bad-value", "type is 5"),
        ({"filename": "a.mp3", "options": {"bitrate": 1}}, "bad-option", "bitrate"),
        ({"filename": "a.mp3", "options": "flac"}, "bad-value", "options is 'flac'"),
        ({"filename": "a.mp3", "size": 5}, "unknown-member", "'size' is not one of: filename"),
    ],
)
def test_a_request_that_cannot_be_granted_names_the_reason(
    client: WebClient, body: dict[str, Any], kind: str, word: str
) -> None:
    response = client.post("/apiv1/uploads", json=body)
    assert response.status_code == 422
    assert response.json["type"].rpartition(":")[2] == kind
    assert word in response.json["detail"]
