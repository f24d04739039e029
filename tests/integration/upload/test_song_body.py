"""Songs that are sent as multipart/form-data, and as their own bytes."""

import http.client
import io
import json
import select
import socket
import time
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from microdemucs.bus import WEBHOOKS
from testing.job_writer import JobWriter
from testing.web_client import WebClient

ROUTE = "/apiv1/separate"


def unique_song(size: int = 800) -> bytes:
    """Bytes that no other test sends; they look like the end of a part."""
    return b"ID3" + (b"\r\n--" + uuid.uuid4().bytes) * (size // 20)


def post_form(
    client: WebClient, song: bytes | None, type_: str = "audio/flac", **fields: Any
) -> Any:
    parts = fields if song is None else {"file": (io.BytesIO(song), "a.flac", type_)} | fields
    return client.post(ROUTE, data=parts, content_type="multipart/form-data")


def post_raw(client: WebClient, song: bytes, type_: str = "audio/flac", **query: str) -> Any:
    return client.post(ROUTE, data=song, content_type=type_, query_string=query)


POSTS: list[Callable[..., Any]] = [post_form, post_raw]
both_kinds = pytest.mark.parametrize("post", POSTS, ids=["form", "raw"])


def stored(job_writer: JobWriter, response: Any) -> tuple[str, dict[str, str]]:
    """Return the content type and the user metadata of the song that this request stored."""
    found = job_writer.songs.stat(f"{response.json['hash']}.mp3")
    metadata = {name.lower(): value for name, value in (found.metadata or {}).items()}
    prefix = "x-amz-meta-"
    return str(found.content_type), {
        name.removeprefix(prefix): value
        for name, value in metadata.items()
        if name.startswith(prefix)
    }


@both_kinds
@pytest.mark.parametrize("size", [800, 7_000_000])
def test_the_song_arrives_whole(
    client: WebClient, job_writer: JobWriter, post: Callable[..., Any], size: int
) -> None:
    song = unique_song(size)
    response = post(client, song)
    assert response.status_code == 200
    assert response.json["hash"] == sha256(song).hexdigest()
    assert response.headers["Location"] == f"/apiv1/jobs/{response.json['job']}"
    assert job_writer.songs.read(f"{response.json['hash']}.mp3") == song
    assert client.get(response.headers["Location"]).json["size"] == len(song)


@both_kinds
@pytest.mark.parametrize(
    ("type_", "stored_type"),
    [
        ("audio/x-wav", "audio/x-wav"),
        ("Audio/OGG; codecs=opus", "audio/ogg"),
        ("application/octet-stream", "audio/mpeg"),
        ("video/mp4", "audio/mpeg"),
    ],
)
def test_the_object_has_the_type_of_the_request_if_it_is_an_audio_type(
    client: WebClient,
    job_writer: JobWriter,
    post: Callable[..., Any],
    type_: str,
    stored_type: str,
) -> None:
    response = post(client, unique_song(), type_)
    assert response.status_code == 200
    assert stored(job_writer, response)[0] == stored_type


@both_kinds
@pytest.mark.parametrize(
    "fields",
    [
        {"format": "flac", "two-stems": "vocals", "model": "htdemucs"},
        {"options": '{"format": "flac", "two_stems": "vocals"}', "model": "htdemucs"},
        {"options": '{"format": "wav", "model": "x"}', "format": "flac", "two_stems": "vocals"}
        | {"model": "htdemucs", "bits": "", "callback": ""},
    ],
    ids=["single", "json", "single-before-json"],
)
def test_options_are_fields_or_json(
    client: WebClient, job_writer: JobWriter, post: Callable[..., Any], fields: dict[str, str]
) -> None:
    response = post(client, unique_song(), **fields)
    assert response.status_code == 200, response.json
    expected = {"format": "flac", "two-stems": "vocals", "model": "htdemucs"}
    assert stored(job_writer, response)[1] == expected


def test_the_parameters_of_a_forms_address_count_too(
    client: WebClient, job_writer: JobWriter
) -> None:
    parts = {"file": (io.BytesIO(unique_song()), "a.mp3"), "shifts": "1"}
    response = client.post(f"{ROUTE}?format=flac", data=parts, content_type="multipart/form-data")
    assert stored(job_writer, response)[1] == {"format": "flac", "shifts": "1"}


@both_kinds
@pytest.mark.parametrize(
    ("value", "callback"),
    [
        ("https://example.com/a?b=c&d", {"url": "https://example.com/a?b=c&d", "data": None}),
        (
            ' {"url": "https://example.com", "data": {"order": 7}}',
            {"url": "https://example.com", "data": {"order": 7}},
        ),
    ],
    ids=["url", "json"],
)
def test_the_callback_is_a_url_or_json(
    client: WebClient,
    job_writer: JobWriter,
    post: Callable[..., Any],
    value: str,
    callback: dict[str, Any],
) -> None:
    response = post(client, unique_song(), callback=value)
    id_ = stored(job_writer, response)[1]["callback"]
    entry = client.application.extensions["context"]().bus.get(WEBHOOKS, f"callback.{id_}")
    record = json.loads(entry.value)
    assert record.pop("created")
    assert record.pop("song") == f"{response.json['hash']}.mp3"
    assert record == callback


@both_kinds
@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"format": "aiff"}, "bad-option", "format is 'aiff'"),
        ({"modle": "x"}, "bad-option", "modle"),
        ({"options": "[]"}, "bad-value", "options must be a JSON object"),
        ({"options": "{"}, "bad-value", "options must be a JSON object: "),
        ({"options": '{"overlap": NaN}'}, "bad-value", "NaN is not a JSON value"),
        ({"callback": "ftp://a.example"}, "bad-value", "callback.url"),
        ({"callback": "http://10.0.0.1"}, "private-address", "10.0.0.1"),
        ({"callback": '{"url"'}, "bad-value", "callback must be a JSON object"),
        ({"callback": '{"data": 1}'}, "bad-value", "callback.url is missing"),
    ],
)
def test_a_bad_field_is_rejected_and_the_problem_names_it(
    client: WebClient, post: Callable[..., Any], fields: dict[str, str], kind: str, words: str
) -> None:
    response = post(client, unique_song(), **fields)
    assert (response.status_code, response.content_type) == (422, "application/problem+json")
    assert response.json["type"].rpartition(":")[2] == kind
    assert words in response.json["detail"]


def test_a_field_that_is_given_twice_is_rejected(client: WebClient) -> None:
    response = client.post(
        f"{ROUTE}?format=flac&format=wav", data=b"ID3", content_type="audio/mpeg"
    )
    assert response.status_code == 422
    assert response.json["detail"] == 'format is ["flac", "wav"]; it must be given once'


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "the body has no part"),
        ({"format": "flac"}, "the body has 'format'"),
        ({"file": "not a file"}, "a part with a file name"),
        ({"song": (io.BytesIO(b"ID3"), "a.mp3")}, "the body has 'song'"),
        ({"file": (io.BytesIO(b""), "a.mp3")}, "the bytes of a song"),
        (
            {"file": (io.BytesIO(b"ID3"), "a.mp3"), "b": (io.BytesIO(b"ID3"), "b.mp3")},
            "the only part with a file name",
        ),
    ],
)
def test_a_form_without_exactly_one_song_is_rejected(
    client: WebClient, parts: dict[str, Any], words: str
) -> None:
    response = client.post(ROUTE, data=parts, content_type="multipart/form-data")
    assert (response.status_code, response.json["member"]) == (422, "file")
    assert words in response.json["detail"]


def test_an_empty_body_is_rejected(client: WebClient) -> None:
    response = post_raw(client, b"")
    assert (response.status_code, response.json["member"]) == (422, "body")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"ID3", "multipart/form-data"),
        (b"ID3", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nID3',
            "multipart/form-data; boundary=b",
        ),
    ],
    ids=["no-boundary", "no-part", "no-end"],
)
def test_a_malformed_form_is_rejected(client: WebClient, body: bytes, content_type: str) -> None:
    response = client.post(ROUTE, data=body, content_type=content_type)
    assert response.status_code == 400
    assert response.json["type"] == "urn:micro-demucs:problem:malformed-form"


@both_kinds
def test_a_song_beyond_the_limit_is_rejected(
    serve: Callable[..., WebClient], post: Callable[..., Any]
) -> None:
    client = serve(MAX_SONG_BYTES="1000")
    assert post(client, b"x" * 1000).status_code == 200
    response = post(client, b"x" * 1001)
    assert (response.status_code, response.json["limit"]) == (413, 1000)
    assert response.json["type"] == "urn:micro-demucs:problem:too-large"


@pytest.mark.parametrize(
    "fields",
    [{"model": "x" * 2**20 + "x"}, {f"f{n}": "x" for n in range(60)}],
    ids=["large", "many"],
)
def test_too_much_beside_the_song_is_rejected(client: WebClient, fields: dict[str, str]) -> None:
    response = post_form(client, None, **fields)
    assert response.status_code == 413
    assert response.json["type"] == "urn:micro-demucs:problem:body-too-large"


def form_of(song: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
    return head + b"Content-Type: audio/mpeg\r\n\r\n" + song + b"\r\n--b--\r\n"


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "multipart/form-data; boundary=b": form_of,
    "audio/mpeg": lambda song: song,
}
both_types = pytest.mark.parametrize("content_type", BODIES)


@both_types
@pytest.mark.parametrize("chunked", [False, True])
def test_the_server_accepts_a_body_with_a_length_or_in_chunks(
    process: str, content_type: str, chunked: bool
) -> None:
    song = unique_song(80_000)
    data = BODIES[content_type](song)
    connection = http.client.HTTPConnection(urlsplit(process).netloc, timeout=20)
    body = (data[n : n + 999] for n in range(0, len(data), 999)) if chunked else data
    query = urlencode({"format": "flac"})
    headers = {"Content-Type": content_type}
    connection.request("POST", f"{ROUTE}?{query}", body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert (response.status, answer["hash"]) == (200, sha256(song).hexdigest())
    assert response.headers["Location"] == f"/apiv1/jobs/{answer['job']}"


@both_types
def test_a_song_in_chunks_is_rejected_while_it_arrives(process: str, content_type: str) -> None:
    """The process accepts 300 kB; this body never ends."""
    address = urlsplit(process)
    start = BODIES[content_type](b"x").partition(b"x\r\n--")[0]
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    with socket.create_connection((str(address.hostname), address.port or 80)) as client:
        head = f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        client.sendall(f"{len(start):x}\r\n".encode() + start + b"\r\n")
        answered = select.poll()  # also takes a descriptor above 1023
        answered.register(client, select.POLLIN)
        end = time.monotonic() + 20
        while not answered.poll(0) and time.monotonic() < end:
            client.sendall(chunk)
        assert b" 413 " in client.recv(1000)


@both_types
@pytest.mark.parametrize("chunked", [False, True])
def test_an_interrupted_body_stores_no_song(
    process: str, job_writer: JobWriter, content_type: str, chunked: bool
) -> None:
    song = unique_song(16_000)
    data = BODIES[content_type](song)
    address = urlsplit(process)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(data)}"
    sent = f"{len(data):x}\r\n".encode() + data[:-100] if chunked else data[:-100]
    with socket.create_connection((str(address.hostname), address.port or 80)) as client:
        head = f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\n{framing}"
        client.sendall(f"{head}\r\nContent-Type: {content_type}\r\n\r\n".encode() + sent)
        client.shutdown(socket.SHUT_WR)
        assert b" 400 " in client.recv(100)
    assert job_writer.songs.list(sha256(song).hexdigest()) == []


HALF = '{"url": "https://example.com", "data": "\\ud800"}'


@pytest.mark.parametrize("post", [*POSTS, None], ids=["form", "raw", "json"])
def test_a_callback_that_cannot_be_sent_is_rejected_at_the_door(
    client: WebClient, post: Callable[..., Any] | None
) -> None:
    if post:
        response = post(client, unique_song(), callback=HALF)
    else:
        body = '{"mp3": "SUQz", "callback": ' + HALF + "}"
        response = client.post(ROUTE, data=body, content_type="application/json")
    assert response.status_code in (400, 422)
    assert "one half of a surrogate pair" in response.json["detail"]
