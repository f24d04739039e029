import uuid

import pytest

from testing.waiting import wait_until
from tests.integration.upload.separated import a_job

DRUMS = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def song(separation) -> str:
    """The hash of a song that has been separated."""
    hash_ = uuid.uuid4().hex * 2
    separation.writes(f"{hash_}.mp3", {"drums.mp3": DRUMS, "bass.mp3": b"bass", "other.mp3": b""})
    return hash_


def get(client, song, track="drums", **headers):
    return client.get(
        f"/apiv1/track/{song}/{track}",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize("name", ["drums", "drums.mp3"])
def test_a_track_comes_whole_with_all_that_a_player_asks(client, song, name):
    answer = get(client, song, name)
    assert (answer.status_code, answer.data) == (200, DRUMS)
    assert answer.content_type == "audio/mpeg"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(len(DRUMS))
    name = f"{song} - drums.mp3"
    assert answer.headers["Content-Disposition"] == (
        f"inline; filename=\"{name}\"; filename*=UTF-8''{name.replace(' ', '%20')}"
    )
    assert answer.headers["ETag"].strip('"')


def test_head_tells_the_same_without_the_bytes(client, song):
    whole, head = get(client, song), client.head(f"/apiv1/track/{song}/drums")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "ETag", "Content-Type", "Last-Modified"):
        assert head.headers[name] == whole.headers[name]


def test_base_is_another_word_for_bass(client, song):
    assert get(client, song, "base").data == get(client, song, "base.mp3").data == b"bass"


def test_a_silent_track_of_no_bytes_is_one(client, song):
    assert (get(client, song, "other").status_code, get(client, song, "other").data) == (200, b"")


@pytest.mark.parametrize(
    ("range_", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=102300-", 102300, 102400),
        ("bytes=-10", 102390, 102400),
        ("bytes=0-999999", 0, 102400),
        ("bytes=-999999", 0, 102400),
    ],
)
def test_a_part_is_given_where_one_is_asked_for(client, song, range_, start, end):
    answer = get(client, song, Range=range_)
    assert (answer.status_code, answer.data) == (206, DRUMS[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(DRUMS)}"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("range_", ["bytes=102400-", "bytes=999999-1000000"])
def test_a_part_beyond_the_end_is_refused(client, song, range_):
    answer = get(client, song, Range=range_)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(DRUMS)}")
    assert answer.json["size"] == len(DRUMS)


@pytest.mark.parametrize("range_", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=5-1"])
def test_what_is_no_single_range_is_answered_whole(client, song, range_):
    assert (get(client, song, Range=range_).status_code) == 200


def test_a_part_belongs_to_the_version_the_rest_is_of(client, song):
    whole = get(client, song)
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    assert get(client, song, Range="bytes=0-9", If_Range=etag).status_code == 206
    assert get(client, song, Range="bytes=0-9", If_Range=modified).status_code == 206
    assert get(client, song, Range="bytes=0-9", If_Range='"other"').data == DRUMS
    assert get(client, song, Range="bytes=0-9", If_Range=f"W/{etag}").data == DRUMS


def test_what_the_listener_has_is_not_sent_again(client, song):
    whole = get(client, song)
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    for same in (
        {"If_None_Match": etag},
        {"If_None_Match": f'"a", W/{etag}'},
        {"If_None_Match": "*"},
    ):
        answer = get(client, song, **same)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    assert get(client, song, If_Modified_Since=modified).status_code == 304
    assert get(client, song, If_None_Match='"other"').status_code == 200
    assert get(client, song, If_None_Match=etag, Range="bytes=0-9").status_code == 304


def test_a_job_and_an_upload_name_their_tracks_too(client, separation):
    upload = uuid.uuid4().hex
    record = separation.separates(a_job(f"form/{upload}/Ö 1.mp3"), {"vocals.flac": b"la"})
    wait_until(lambda: client.get(f"/apiv1/track/{upload}/vocals").status_code == 200)
    for name in (upload, record.id):
        answer = client.get(f"/apiv1/track/{name}/vocals.flac")
        assert answer.data == b"la"
        assert answer.headers["Content-Disposition"].startswith(
            "inline; filename=\"_ 1 - vocals.flac\"; filename*=UTF-8''%C3%96%201%20-%20vocals.flac"
        )


@pytest.mark.parametrize("method", ["get", "delete"])
def test_a_track_is_removed_and_the_manifest_stays(client, separation, method):
    hash_ = uuid.uuid4().hex * 2
    separation.writes(f"{hash_}.mp3", {"bass.mp3": b"b", "drums.mp3": b"d"})
    answer = getattr(client, method)(f"/apiv1/remove/{hash_}/base")
    assert (answer.status_code, answer.json) == (
        200,
        {"hash": hash_, "track": "bass.mp3", "reason": "removed"},
    )
    left = [one.object_name for one in separation.store.list_objects("stems", f"{hash_}.mp3/")]
    assert left == [f"{hash_}.mp3/drums.mp3", f"{hash_}.mp3/manifest.json"]
    for path in (f"track/{hash_}/bass", f"remove/{hash_}/bass"):
        gone = client.get(f"/apiv1/{path}")
        assert (gone.status_code, gone.json["type"]) == (
            404,
            "urn:micro-demucs:problem:track-removed",
        )


def test_to_ask_whether_a_track_is_there_does_not_remove_it(client, song):
    assert client.head(f"/apiv1/remove/{song}/drums").status_code == 405
    assert get(client, song).status_code == 200


@pytest.mark.parametrize("path", ["track", "remove"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("{}/kazoo", "unknown-track"),
        ("{}/drums.wav", "unknown-track"),
        ("{}/manifest.json", "unknown-track"),
        ("{}/..%2Fdrums.mp3", "http"),
        ("0000000000000000000000000000000000000000000000000000000000000000/drums", "not-separated"),
        ("00000000000000000000000000000000/drums", "unknown-job"),
        ("..%2F..%2Fsongs/drums", "http"),
    ],
)
def test_what_is_not_there_is_a_problem_that_says_what_is_missing(client, song, path, name, kind):
    answer = client.get(f"/apiv1/{path}/{name.format(song)}")
    assert (answer.status_code, answer.json["type"].rpartition(":")[2]) == (404, kind)
