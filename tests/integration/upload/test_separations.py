import http.client
import io
import json
import socket
import uuid
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from nats.aio.client import Client

from microdemucs.bus import JOBS, WEBHOOKS
from microdemucs.jobs import JobRecord, JobState
from microdemucs.webhooks import is_callback_id
from testing.job_writer import JobWriter
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient

JSON = {"Content-Type": "application/json"}


def unique_song() -> bytes:
    """Bytes that no other test sends."""
    return b"ID3" + uuid.uuid4().bytes * 50


def post(client: WebClient, song: bytes, **members: Any) -> Any:
    return client.post("/apiv1/separate", json={"mp3": b64encode(song).decode(), **members})


def stored_metadata(job_writer: JobWriter, hash_: str) -> dict[str, str]:
    metadata = job_writer.songs.stat(f"{hash_}.mp3").metadata or {}
    return {
        name.lower(): value
        for name, value in metadata.items()
        if name.lower().startswith("x-amz-meta-")
    }


def read_record(job_writer: JobWriter, path: str) -> JobRecord:
    """Return the record of the job at the route `path`."""
    entry = job_writer.bus.get(JOBS, path.rpartition("/")[2])
    assert entry
    assert entry.value
    return JobRecord.read(entry.value)


def test_the_song_is_stored_under_its_hash_with_its_options(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = unique_song()
    response = post(client, song, model="htdemucs", options={"two_stems": "vocals", "shifts": 1})
    hash_ = sha256(song).hexdigest()
    assert response.status_code == 200
    assert (response.json["hash"], response.json["reason"]) == (hash_, "queued")
    assert job_writer.songs.read(f"{hash_}.mp3") == song
    assert job_writer.songs.stat(f"{hash_}.mp3").content_type == "audio/mpeg"
    assert stored_metadata(job_writer, hash_) == {
        "x-amz-meta-model": "htdemucs",
        "x-amz-meta-two-stems": "vocals",
        "x-amz-meta-shifts": "1",
    }


def test_the_answer_names_the_job_that_can_be_followed(client: WebClient) -> None:
    response = post(client, unique_song())
    assert set(response.json) == {"hash", "reason", "job", "state"}
    assert response.json["state"] == JobState.WAITING
    assert response.headers["Location"] == f"/apiv1/jobs/{response.json['job']}"
    job = client.get(response.headers["Location"]).json
    assert (job["id"], job["hash"]) == (response.json["job"], response.json["hash"])


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED])
def test_a_song_that_is_sent_again_after_its_job_ended_without_stems_waits_again(
    client: WebClient, job_writer: JobWriter, state: JobState
) -> None:
    song = unique_song()
    path = post(client, song).headers["Location"]
    record = read_record(job_writer, path)
    job_writer.write_record(record, state=state, problem={"title": "no"})
    wait_until(lambda: client.get(path).json["state"] == state)
    again = post(client, song)
    assert (again.headers["Location"], again.json["state"]) == (path, JobState.WAITING)
    assert read_record(job_writer, path).state == JobState.WAITING


def test_a_song_that_is_sent_again_while_it_is_separated_keeps_its_record(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = unique_song()
    path = post(client, song).headers["Location"]
    record = job_writer.write_record(
        read_record(job_writer, path), state=JobState.RUNNING, progress=0.5
    )
    again = post(client, song)
    assert (again.headers["Location"], again.json["state"]) == (path, JobState.RUNNING)
    assert read_record(job_writer, path) == record


def test_a_finished_song_that_is_sent_again_with_a_callback_stays_done(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = unique_song()
    path = post(client, song).headers["Location"]
    job_writer.finish(read_record(job_writer, path), {"drums.mp3": b"d"})
    wait_until(lambda: client.get(path).json["state"] == JobState.DONE)
    again = post(client, song, callback={"url": "https://example.com/"})
    assert again.headers["Location"] == path
    assert (again.json["reason"], again.json["state"]) == ("queued", JobState.DONE)


def test_the_queue_shows_the_song_at_once(client: WebClient) -> None:
    song = unique_song()
    hash_ = post(client, song, options={"format": "flac"}).json["hash"]
    job = client.get(f"/apiv1/jobs/{hash_}").json
    assert hash_ in client.get("/apiv1/queue").json["queue"]
    assert (job["state"], job["options"], job["size"]) == (
        JobState.WAITING,
        {"format": "flac"},
        len(song),
    )
    assert job["hash"] == hash_


def test_a_song_longer_than_one_part_of_a_multipart_upload_arrives_whole(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = uuid.uuid4().bytes * 400_000
    hash_ = post(client, song).json["hash"]
    assert hash_ == sha256(song).hexdigest()
    assert job_writer.songs.read(f"{hash_}.mp3") == song


def test_the_callback_is_stored_and_the_songs_metadata_names_it(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    client = serve(WEBHOOK_ALLOW_PRIVATE="1")
    callback = {"url": "http://127.0.0.1:9/hook", "data": {"order": 7}}
    hash_ = post(client, unique_song(), callback=callback).json["hash"]
    id_ = stored_metadata(job_writer, hash_)["x-amz-meta-callback"]
    assert is_callback_id(id_)
    bus = client.application.extensions["context"]().bus
    record = json.loads(bus.get(WEBHOOKS, f"callback.{id_}").value)
    assert record.pop("created")
    assert record == callback | {"song": f"{hash_}.mp3"}
    webhooks = client.get("/apiv1/webhooks").json["webhooks"]
    assert callback["url"] not in [webhook["url"] for webhook in webhooks]


def test_each_request_has_a_callback_with_an_id_of_its_own(
    client: WebClient, job_writer: JobWriter
) -> None:
    song, callback = unique_song(), {"url": "https://example.com/"}
    ids = set()
    for _ in range(2):
        hash_ = post(client, song, callback=callback).json["hash"]
        ids.add(stored_metadata(job_writer, hash_)["x-amz-meta-callback"])
    assert len(ids) == 2


def test_a_callback_expires(serve: Callable[..., WebClient], stack: Stack) -> None:
    client = serve(CALLBACK_DAYS="2")
    bus = client.application.extensions["context"]().bus
    last = max((entry.revision for entry in bus.changes(WEBHOOKS, "callback.*", 0)), default=0)
    post(client, unique_song(), callback={"url": "https://example.com/expires"})
    (entry,) = bus.changes(WEBHOOKS, "callback.*", last)

    async def headers(client: Client) -> dict[str, str]:
        message = await client.jetstream().get_msg("KV_webhooks", entry.revision)
        return message.headers or {}

    assert stack.on_bus("provision", headers)["Nats-TTL"] == str(2 * 86400)


def test_more_callbacks_than_the_setting_allows_are_refused(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    client, song = serve(MAX_CALLBACKS="0"), unique_song()
    refused = post(client, song, callback={"url": "https://example.com/"})
    assert refused.status_code == 503
    assert refused.json["type"] == "urn:micro-demucs:problem:too-many-callbacks"
    assert "MAX_CALLBACKS" in refused.json["detail"]
    assert job_writer.songs.list(sha256(song).hexdigest()) == []
    assert post(client, song).status_code == 200


def test_a_separated_song_is_not_stored_again(client: WebClient, job_writer: JobWriter) -> None:
    song = unique_song()
    hash_ = sha256(song).hexdigest()
    job_writer.write_stems(f"{hash_}.mp3", {"drums.flac": b"d"}, options={"format": "flac"})
    again = post(client, song, options={"format": "flac"})
    assert again.status_code == 200
    assert again.json == {
        "hash": hash_,
        "reason": "already separated",
        "job": "0" * 32,
        "state": JobState.DONE,
    }
    assert again.headers["Location"] == f"/apiv1/jobs/{'0' * 32}"
    assert job_writer.songs.list(hash_) == []


def test_a_separated_song_is_queued_again_for_a_callback_or_other_options(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = unique_song()
    key = f"{sha256(song).hexdigest()}.mp3"
    job_writer.write_stems(key, {"drums.flac": b"d"}, options={"format": "flac"})
    callback = {"url": "https://example.com/"}
    with_callback = post(client, song, options={"format": "flac"}, callback=callback)
    assert with_callback.json["reason"] == "queued"
    assert post(client, song).json["reason"] == "queued"


def test_a_separated_song_is_queued_again_if_a_waiting_job_will_replace_its_stems(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = unique_song()
    first = post(client, song)
    path = first.headers["Location"]
    job_writer.finish(read_record(job_writer, path), {"drums.mp3": b"d"})
    wait_until(lambda: client.get(path).json["state"] == JobState.DONE)
    assert post(client, song).json["reason"] == "already separated"
    other = post(client, song, options={"format": "flac"})
    again = post(client, song)
    assert (again.json["reason"], again.json["state"]) == ("queued", JobState.WAITING)
    assert again.json["job"] == first.json["job"] != other.json["job"]


def test_a_song_with_a_removed_stem_is_queued_again(
    client: WebClient, job_writer: JobWriter
) -> None:
    song = unique_song()
    hash_ = sha256(song).hexdigest()
    job_writer.write_stems(f"{hash_}.mp3", {"drums.mp3": b"d", "bass.mp3": b"b"})
    assert post(client, song).json["reason"] == "already separated"
    client.delete(f"/apiv1/remove/{hash_}/bass")
    assert post(client, song).json["reason"] == "queued"


MP3 = b64encode(b"a song").decode()


@pytest.mark.parametrize(
    ("body", "status", "kind", "words"),
    [
        ("{", 400, "malformed-json", "character"),
        ('{"mp3": "QUJD"', 400, "malformed-json", ""),
        ('{"mp3": "QUJD", "options": NaN}', 400, "malformed-json", "NaN is not a JSON value"),
        (b'{"mp3": "QUJD", "model": "\xff"}', 400, "malformed-json", "not UTF-8"),
        ("[]", 422, "bad-value", "body is []; it must be a JSON object"),
        ({}, 422, "bad-value", "mp3 is missing"),
        ({"mp3": ""}, 422, "bad-value", "mp3"),
        ({"mp3": 5}, 422, "bad-value", "mp3 is 5"),
        ({"mp3": "not base64!"}, 422, "not-base64", "RFC 4648"),
        ({"mp3": MP3, "modle": "x"}, 422, "unknown-member", "'modle' is not one of: mp3, model"),
        ({"mp3": MP3, "options": {"format": "aiff"}}, 422, "bad-option", "mp3, flac, wav"),
        ({"mp3": MP3, "options": {"volume": 11}}, 422, "bad-option", "volume"),
        ({"mp3": MP3, "options": ["flac"]}, 422, "bad-value", 'options is ["flac"]'),
        ({"mp3": MP3, "model": "a/b"}, 422, "bad-option", "model"),
        ({"mp3": MP3, "callback": "https://example.com"}, 422, "bad-value", "callback"),
        ({"mp3": MP3, "callback": {"data": 1}}, 422, "bad-value", "callback.url is missing"),
        ({"mp3": MP3, "callback": {"url": "ftp://a.example"}}, 422, "bad-value", "callback.url"),
        ({"mp3": MP3, "callback": {"url": "http://10.0.0.1"}}, 422, "private-address", "10.0.0.1"),
        (
            {"mp3": MP3, "callback": {"url": "https://a.example", "data": "x" * 70_000}},
            422,
            "bad-value",
            "callback must be at most 65536 bytes",
        ),
    ],
)
def test_a_bad_body_is_rejected_and_the_problem_names_the_reason(
    client: WebClient, body: Any, status: int, kind: str, words: str
) -> None:
    text = json.dumps(body) if isinstance(body, (dict, list)) else body
    response = client.post("/apiv1/separate", data=text, content_type="application/json")
    assert response.status_code == status
    assert response.json["type"].rpartition(":")[2] == kind
    assert response.content_type == "application/problem+json"
    assert words in response.json["detail"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None]
)
def test_a_body_of_another_type_is_rejected_and_the_problem_names_the_accepted_ones(
    client: WebClient, content_type: str | None
) -> None:
    response = client.post("/apiv1/separate", data=b"ID3", content_type=content_type)
    assert response.status_code == 415
    assert response.json["type"] == "urn:micro-demucs:problem:unsupported-type"
    assert (content_type or "missing") in response.json["detail"]
    for accepted in ("application/json", "multipart/form-data", "audio/*"):
        assert accepted in response.json["detail"]


def test_a_song_beyond_the_limit_is_rejected(serve: Callable[..., WebClient]) -> None:
    client = serve(MAX_SONG_BYTES="1000")
    assert post(client, b"x" * 1000).status_code == 200
    response = post(client, b"x" * 1001)
    assert (response.status_code, response.json["limit"]) == (413, 1000)


def test_an_unreachable_store_is_a_temporary_problem(serve: Callable[..., WebClient]) -> None:
    client = serve(STORE_URL="http://127.0.0.1:9")
    response = post(client, unique_song())
    assert response.status_code == 503
    assert response.json["type"] == "urn:micro-demucs:problem:store-away"
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("chunked", [False, True])
def test_the_server_accepts_a_body_with_a_length_or_in_chunks(process: str, chunked: bool) -> None:
    song = uuid.uuid4().bytes * 5000
    text = json.dumps({"mp3": b64encode(song).decode()}).encode()
    connection = http.client.HTTPConnection(urlsplit(process).netloc, timeout=20)
    body = (text[n : n + 999] for n in range(0, len(text), 999)) if chunked else text
    connection.request("POST", "/apiv1/separate", body, JSON, encode_chunked=chunked)
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200
    assert (answer["hash"], answer["reason"]) == (sha256(song).hexdigest(), "queued")
    connection.close()


def test_an_interrupted_body_stores_no_song(process: str, job_writer: JobWriter) -> None:
    song = uuid.uuid4().bytes * 1000
    text = json.dumps({"mp3": b64encode(song).decode()}).encode()
    address = urlsplit(process)
    with socket.create_connection((str(address.hostname), address.port or 80)) as client:
        head = f"POST /apiv1/separate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}"
        client.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + text[:-100])
        client.shutdown(socket.SHUT_WR)
        assert b" 400 " in client.recv(100)
    assert job_writer.songs.list(sha256(song).hexdigest()) == []


def test_a_song_names_the_token_that_sent_it(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    client = serve(API_TOKENS="token-one,token-two")
    ids = []
    for token in ("token-one", "token-two", "token-one"):
        song = unique_song()
        response = client.post(
            "/apiv1/separate",
            data=song,
            headers={"Content-Type": "audio/mpeg", "Authorization": f"Bearer {token}"},
        )
        metadata = stored_metadata(job_writer, response.json["hash"])
        ids.append(metadata["x-amz-meta-submitter"])
        record = read_record(job_writer, response.headers["Location"])
        assert record.submitter == ids[-1]
    assert ids[0] == ids[2] != ids[1]
    assert "token" not in "".join(ids)


def test_a_song_is_refused_for_now_while_others_take_all_the_space(
    serve: Callable[..., WebClient],
) -> None:
    client = serve(UPLOAD_SPACE_BYTES="10000", MAX_SONG_BYTES="10000")
    space = client.application.extensions["context"]().upload_space
    space.take(9000)
    refused = client.post("/apiv1/separate", data=b"x" * 2000, content_type="audio/mpeg")
    assert (refused.status_code, refused.json["type"]) == (503, "urn:micro-demucs:problem:no-room")
    assert refused.headers["Retry-After"] == "30"
    space.give_back(9000)
    accepted = client.post("/apiv1/separate", data=unique_song(), content_type="audio/mpeg")
    assert accepted.status_code == 200
    space.ensure_free(10_000)


def test_a_song_that_is_too_large_is_so_whatever_the_space(
    serve: Callable[..., WebClient],
) -> None:
    client = serve(UPLOAD_SPACE_BYTES="10000", MAX_SONG_BYTES="10000")
    refused = client.post("/apiv1/separate", data=b"x" * 20_000, content_type="audio/mpeg")
    assert refused.status_code == 413


def test_a_song_that_is_too_much_work_with_every_model_is_rejected_at_once(
    client: WebClient,
) -> None:
    file = io.BytesIO()
    silence = np.zeros(7_200_000, np.int16)
    soundfile.write(file, silence, 1_000, format="FLAC")
    response = client.post(
        "/apiv1/separate?shifts=20&overlap=0.9&segment=1",
        data=file.getvalue(),
        content_type="audio/flac",
    )
    assert response.status_code == 422
    assert response.json["type"] == "urn:micro-demucs:problem:too-much-work"
    assert (response.json["network_seconds"], response.json["limit"]) == (1_440_000, 50_000)
    hash_ = sha256(file.getvalue()).hexdigest()
    assert client.get(f"/apiv1/jobs/{hash_}").status_code == 404


def test_the_same_song_with_ordinary_options_is_accepted(client: WebClient) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(7_200_000, np.int16), 1_000, format="FLAC")
    response = client.post("/apiv1/separate", data=file.getvalue(), content_type="audio/flac")
    assert response.status_code == 200
