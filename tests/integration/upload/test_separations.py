import json
import uuid
from base64 import b64encode
from hashlib import sha256

import pytest

from microdemucs.bus import WEBHOOKS
from microdemucs.jobs import JobState


def a_song() -> bytes:
    """Bytes that nobody sent before."""
    return b"ID3" + uuid.uuid4().bytes * 50


def post(client, song: bytes, **more):
    return client.post("/apiv1/separate", json={"mp3": b64encode(song).decode(), **more})


def stored(separation, hash_: str):
    answer = separation.store.get_object("songs", f"{hash_}.mp3")
    try:
        said = {k.lower(): v for k, v in answer.headers.items()}
        return answer.read(), said
    finally:
        answer.close()
        answer.release_conn()


def test_the_song_lands_in_the_bucket_under_its_hash_with_its_options(client, separation):
    song = a_song()
    answer = post(client, song, model="htdemucs", options={"two_stems": "vocals", "shifts": 1})
    hash_ = sha256(song).hexdigest()
    assert (answer.status_code, answer.json) == (200, {"hash": hash_, "reason": "queued"})
    data, headers = stored(separation, hash_)
    assert data == song
    assert headers["content-type"] == "audio/mpeg"
    assert {k: v for k, v in headers.items() if k.startswith("x-amz-meta-")} == {
        "x-amz-meta-model": "htdemucs",
        "x-amz-meta-two-stems": "vocals",
        "x-amz-meta-shifts": "1",
    }


def test_the_queue_shows_it_at_once(client):
    song = a_song()
    hash_ = post(client, song, options={"format": "flac"}).json["hash"]
    job = client.get(f"/apiv1/jobs/{hash_}").json
    assert hash_ in client.get("/apiv1/queue").json["queue"]
    assert (job["state"], job["options"], job["size"]) == (
        JobState.WAITING,
        {"format": "flac"},
        len(song),
    )
    assert job["hash"] == hash_


def test_a_song_longer_than_one_part_of_a_multipart_upload_arrives_whole(client, separation):
    song = uuid.uuid4().bytes * 400_000
    hash_ = post(client, song).json["hash"]
    assert hash_ == sha256(song).hexdigest()
    assert stored(separation, hash_)[0] == song


def test_the_callback_is_kept_before_the_song_and_named_by_it(serve, separation):
    client = serve(WEBHOOK_ALLOW_PRIVATE="1")
    callback = {"url": "http://127.0.0.1:9/hook", "data": {"order": 7}}
    hash_ = post(client, a_song(), callback=callback).json["hash"]
    id_ = stored(separation, hash_)[1]["x-amz-meta-callback"]
    said = json.dumps(callback, sort_keys=True).encode()
    assert id_ == sha256(said).hexdigest()[:32]
    bus = client.application.extensions["context"]().bus
    kept = json.loads(bus.get(WEBHOOKS, f"callback.{id_}").value)
    assert kept.pop("created")
    assert kept == callback
    assert client.get("/apiv1/webhooks").json["webhooks"] == []


def test_a_song_separated_before_is_not_put_again_but_for_a_callback(client, separation):
    song = a_song()
    hash_ = sha256(song).hexdigest()
    separation.writes(f"{hash_}.mp3", {"drums.flac": b"d"}, options={"format": "flac"})
    again = post(client, song, options={"format": "flac"})
    assert again.json == {"hash": hash_, "reason": "already separated"}
    assert not list(separation.store.list_objects("songs", prefix=hash_))
    told = post(client, song, options={"format": "flac"}, callback={"url": "https://example.com/"})
    assert told.json["reason"] == "queued"
    assert post(client, song).json["reason"] == "queued"  # other options


def test_a_song_whose_stem_was_removed_is_put_again(client, separation):
    song = a_song()
    hash_ = sha256(song).hexdigest()
    separation.writes(f"{hash_}.mp3", {"drums.mp3": b"d", "bass.mp3": b"b"})
    assert post(client, song).json["reason"] == "already separated"
    client.delete(f"/apiv1/remove/{hash_}/bass")
    assert post(client, song).json["reason"] == "queued"


MP3 = b64encode(b"a song").decode()


@pytest.mark.parametrize(
    ("body", "status", "kind", "says"),
    [
        ("{", 400, "malformed-json", "character"),
        ('{"mp3": "QUJD"', 400, "malformed-json", ""),
        ('{"mp3": "QUJD", "options": NaN}', 400, "malformed-json", ""),
        (b'{"mp3": "QUJD", "model": "\xff"}', 400, "malformed-json", ""),
        ("[]", 422, "bad-value", "object"),
        ({}, 422, "bad-value", "mp3"),
        ({"mp3": ""}, 422, "bad-value", "mp3"),
        ({"mp3": 5}, 422, "bad-value", "mp3"),
        ({"mp3": "not base64!"}, 422, "not-base64", "RFC 4648"),
        ({"mp3": MP3, "modle": "x"}, 422, "unknown-member", "modle"),
        ({"mp3": MP3, "options": {"format": "aiff"}}, 422, "bad-option", "mp3, flac, wav"),
        ({"mp3": MP3, "options": {"volume": 11}}, 422, "bad-option", "volume"),
        ({"mp3": MP3, "options": ["flac"]}, 422, "bad-value", "options"),
        ({"mp3": MP3, "model": "a/b"}, 422, "bad-option", "model"),
        ({"mp3": MP3, "callback": "https://example.com"}, 422, "bad-value", "callback"),
        ({"mp3": MP3, "callback": {"data": 1}}, 422, "bad-value", "callback.url"),
        ({"mp3": MP3, "callback": {"url": "ftp://a.example"}}, 422, "bad-value", "callback.url"),
        ({"mp3": MP3, "callback": {"url": "http://10.0.0.1"}}, 422, "private-address", "10.0.0.1"),
        (
            {"mp3": MP3, "callback": {"url": "https://a.example", "data": "x" * 70_000}},
            422,
            "bad-value",
            "callback",
        ),
    ],
)
def test_a_body_that_cannot_be_taken_is_told_why(client, body, status, kind, says):
    text = json.dumps(body) if isinstance(body, (dict, list)) else body
    answer = client.post("/apiv1/separate", data=text, content_type="application/json")
    assert (answer.status_code, answer.json["type"].rpartition(":")[2]) == (status, kind)
    assert answer.content_type == "application/problem+json"
    assert says in answer.json["detail"]


def test_a_body_that_is_not_said_to_be_json_is_refused(client):
    answer = client.post("/apiv1/separate", data=b"ID3", content_type="audio/mpeg")
    assert answer.status_code == 415
    assert "application/json" in answer.json["detail"]


def test_a_song_beyond_the_limit_is_refused_even_where_the_body_is_not(serve):
    client = serve(MAX_SONG_BYTES="1000")
    assert post(client, b"x" * 1000).status_code == 200
    answer = post(client, b"x" * 1001)
    assert (answer.status_code, answer.json["limit"]) == (413, 1000)


def test_a_store_that_is_away_is_a_problem_that_passes(serve):
    client = serve(STORE_URL="http://127.0.0.1:9")
    answer = post(client, a_song())
    assert (answer.status_code, answer.json["type"]) == (503, "urn:micro-demucs:problem:store-away")
    assert int(answer.headers["Retry-After"]) > 0
