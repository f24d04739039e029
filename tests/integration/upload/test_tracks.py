import os
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from testing.job_writer import JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

DRUMS = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def song(job_writer: JobWriter) -> str:
    """The hash of a separated song."""
    hash_ = uuid.uuid4().hex * 2
    stems = {"drums.mp3": DRUMS, "bass.mp3": b"bass", "other.mp3": b""}
    job_writer.write_stems(f"{hash_}.mp3", stems)
    return hash_


def get(client: WebClient, song: str, track: str = "drums", **headers: str) -> Any:
    return client.get(
        f"/apiv1/track/{song}/{track}",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@pytest.mark.parametrize("name", ["drums", "drums.mp3"])
def test_a_track_comes_whole_with_its_headers(client: WebClient, song: str, name: str) -> None:
    response = get(client, song, name)
    assert (response.status_code, response.data) == (200, DRUMS)
    assert response.content_type == "audio/mpeg"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Length"] == str(len(DRUMS))
    file_name = f"{song} - drums.mp3"
    assert response.headers["Content-Disposition"] == (
        f"inline; filename=\"{file_name}\"; filename*=UTF-8''{file_name.replace(' ', '%20')}"
    )
    assert response.headers["ETag"].strip('"')


def test_head_has_the_same_headers_without_the_bytes(client: WebClient, song: str) -> None:
    whole, head = get(client, song), client.head(f"/apiv1/track/{song}/drums")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "ETag", "Content-Type", "Last-Modified"):
        assert head.headers[name] == whole.headers[name]


def test_base_is_an_alias_of_bass(client: WebClient, song: str) -> None:
    assert get(client, song, "base").data == get(client, song, "base.mp3").data == b"bass"


def test_an_empty_track_is_found(client: WebClient, song: str) -> None:
    response = get(client, song, "other")
    assert (response.status_code, response.data) == (200, b"")


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
def test_a_range_is_answered_with_its_bytes(
    client: WebClient, song: str, range_: str, start: int, end: int
) -> None:
    response = get(client, song, Range=range_)
    assert (response.status_code, response.data) == (206, DRUMS[start:end])
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(DRUMS)}"
    assert response.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("range_", ["bytes=102400-", "bytes=999999-1000000"])
def test_a_range_beyond_the_end_is_rejected(client: WebClient, song: str, range_: str) -> None:
    response = get(client, song, Range=range_)
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(DRUMS)}"
    assert response.json["size"] == len(DRUMS)
    assert response.json["detail"] == f"Range is '{range_}'; the track has {len(DRUMS)} bytes"


@pytest.mark.parametrize("range_", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=5-1"])
def test_anything_but_one_byte_range_is_answered_whole(
    client: WebClient, song: str, range_: str
) -> None:
    response = get(client, song, Range=range_)
    assert (response.status_code, response.data) == (200, DRUMS)


def test_a_range_is_sent_only_if_the_track_is_still_the_same(client: WebClient, song: str) -> None:
    whole = get(client, song)
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    assert get(client, song, Range="bytes=0-9", If_Range=etag).status_code == 206
    assert get(client, song, Range="bytes=0-9", If_Range=modified).status_code == 206
    assert get(client, song, Range="bytes=0-9", If_Range='"other"').data == DRUMS
    assert get(client, song, Range="bytes=0-9", If_Range=f"W/{etag}").data == DRUMS


def test_a_track_that_the_client_has_is_not_sent_again(client: WebClient, song: str) -> None:
    whole = get(client, song)
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]
    for condition in (etag, f'"a", W/{etag}', "*"):
        response = get(client, song, If_None_Match=condition)
        status, data = response.status_code, response.data
        assert (status, data, response.headers["ETag"]) == (304, b"", etag)
    assert get(client, song, If_Modified_Since=modified).status_code == 304
    assert get(client, song, If_None_Match='"other"').status_code == 200
    assert get(client, song, If_None_Match=etag, Range="bytes=0-9").status_code == 304


def test_a_job_id_and_an_upload_id_name_their_tracks_too(
    client: WebClient, job_writer: JobWriter
) -> None:
    upload = uuid.uuid4().hex
    record = job_writer.finish(new_job(f"form/{upload}/Ö 1.mp3"), {"vocals.flac": b"la"})
    wait_until(lambda: client.get(f"/apiv1/track/{upload}/vocals").status_code == 200)
    for name in (upload, record.id):
        response = client.get(f"/apiv1/track/{name}/vocals.flac")
        assert response.data == b"la"
        assert response.headers["Content-Disposition"].startswith(
            "inline; filename=\"_ 1 - vocals.flac\"; filename*=UTF-8''%C3%96%201%20-%20vocals.flac"
        )


OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(("method", "headers"), [("GET", OWN_PAGE), ("DELETE", {})])
def test_a_track_is_removed_and_the_manifest_stays(
    client: WebClient, job_writer: JobWriter, method: str, headers: dict[str, str]
) -> None:
    hash_ = uuid.uuid4().hex * 2
    job_writer.write_stems(f"{hash_}.mp3", {"bass.mp3": b"b", "drums.mp3": b"d"})
    response = client.open(f"/apiv1/remove/{hash_}/base", method=method, headers=headers)
    assert response.status_code == 200
    assert response.json == {"hash": hash_, "track": "bass.mp3", "reason": "removed"}
    left = [item.object_name for item in job_writer.stems.list(f"{hash_}.mp3/")]
    assert left == [f"{hash_}.mp3/drums.mp3", f"{hash_}.mp3/manifest.json"]
    for path in (f"track/{hash_}/bass", f"remove/{hash_}/bass"):
        removed = client.get(f"/apiv1/{path}", headers=OWN_PAGE)
        assert removed.status_code == 404
        assert removed.json["type"] == "urn:micro-demucs:problem:track-removed"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-site"}, {"Referer": "http://localhost:9000/"}],
    ids=["no proof", "another port", "the store's page"],
)
def test_a_get_that_may_come_from_another_page_removes_nothing(
    client: WebClient, song: str, headers: dict[str, str]
) -> None:
    response = client.get(f"/apiv1/remove/{song}/drums", headers=headers)
    assert response.status_code == 403
    assert response.json["type"] == "urn:micro-demucs:problem:cross-site"
    assert response.json["detail"].endswith("use DELETE to remove")
    assert get(client, song).status_code == 200


def test_with_a_token_a_get_removes_a_track(
    serve: Callable[..., WebClient], job_writer: JobWriter
) -> None:
    hash_ = uuid.uuid4().hex * 2
    job_writer.write_stems(f"{hash_}.mp3", {"bass.mp3": b"b"})
    response = serve(API_TOKENS="t").get(
        f"/apiv1/remove/{hash_}/bass", headers={"Authorization": "Bearer t"}
    )
    assert response.status_code == 200


def test_head_does_not_remove_a_track(client: WebClient, song: str) -> None:
    assert client.head(f"/apiv1/remove/{song}/drums").status_code == 405
    assert get(client, song).status_code == 200


@pytest.mark.parametrize("route", ["track", "remove"])
@pytest.mark.parametrize(
    ("path", "kind"),
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
def test_a_missing_track_is_not_found_and_the_problem_names_what_is_missing(
    client: WebClient, song: str, route: str, path: str, kind: str
) -> None:
    response = client.get(f"/apiv1/{route}/{path.format(song)}", headers=OWN_PAGE)
    assert response.status_code == 404
    assert response.json["type"].rpartition(":")[2] == kind


def test_the_server_sends_a_long_track_whole_and_in_part(
    process: str, job_writer: JobWriter
) -> None:
    hash_ = uuid.uuid4().hex * 2
    track = os.urandom(3_000_000)
    job_writer.write_stems(f"{hash_}.mp3", {"drums.mp3": track})
    url = f"{process}/apiv1/track/{hash_}/drums"
    assert urllib3.request("GET", url).data == track
    part = urllib3.request("GET", url, headers={"Range": "bytes=1000000-1999999"})
    assert (part.status, part.data) == (206, track[1_000_000:2_000_000])
    head = urllib3.request("HEAD", url)
    assert (head.headers["Content-Length"], head.data) == ("3000000", b"")
