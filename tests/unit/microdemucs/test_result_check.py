"""Which result documents are believed."""

from typing import Any

import msgspec
import pytest

from microdemucs.manifest import BadDocument, Failure, Manifest
from microdemucs.result_check import MAX_BYTES, read_result
from tests.unit.notify.documents import FAILURE, MANIFEST

KEY = MANIFEST["song"]["key"]
STEM = MANIFEST["stems"][0]
PEAKS = {
    "key": f"{KEY}/peaks.bin",
    "size": 3317,
    "content_type": "application/octet-stream",
    "rate": 25,
    "columns": 1075,
}
COVER = {"key": f"{KEY}/cover.jpg", "size": 7, "content_type": "image/jpeg"}
HASH = "5" * 64
JOB = "0123456789abcdef" * 2
HASH_SONG = MANIFEST["song"] | {"key": f"{HASH}.mp3"}


def manifest(**changes: Any) -> bytes:
    return msgspec.json.encode(MANIFEST | {"job": JOB} | changes)


def failure(**changes: Any) -> bytes:
    return msgspec.json.encode(FAILURE | {"job": JOB} | changes)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_manifest_of_a_job_is_believed() -> None:
    assert isinstance(read_result(f"{KEY}/manifest.json", manifest()), Manifest)


def test_a_manifest_with_peaks_is_believed() -> None:
    found = read_result(f"{KEY}/manifest.json", manifest(peaks=PEAKS))
    assert isinstance(found, Manifest)
    assert found.objects == {STEM["key"]: STEM["size"], PEAKS["key"]: PEAKS["size"]}


def test_a_manifest_with_a_cover_is_believed() -> None:
    text = manifest(song=MANIFEST["song"] | {"cover": COVER})
    found = read_result(f"{KEY}/manifest.json", text)
    assert isinstance(found, Manifest)
    assert found.objects == {STEM["key"]: STEM["size"], COVER["key"]: 7}


def test_a_failure_of_a_job_is_believed() -> None:
    assert isinstance(read_result(f"{KEY}/failure.json", failure()), Failure)


def test_a_song_whose_key_is_its_hash_is_believed() -> None:
    text = manifest(song=HASH_SONG, stems=[])
    assert read_result(f"{HASH}.mp3/manifest.json", text).song.key == f"{HASH}.mp3"


def test_a_job_that_has_not_started_has_no_time_of_that() -> None:
    assert read_result(f"{KEY}/failure.json", failure(started="")).started == ""


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"job": "a b"}, r"\$\.job"),
        ({"job": "../" + "0" * 29}, r"\$\.job"),
        ({"job": JOB + "\n"}, r"\$\.job"),
        ({"song": MANIFEST["song"] | {"key": "another.mp3"}}, r"\$\.song\.key"),
        ({"song": MANIFEST["song"] | {"sha256": "f"}}, r"\$\.song\.sha256"),
        ({"stems": [STEM | {"key": 5}]}, r"stems\[0\]\.key"),
        ({"stems": [STEM | {"key": "another.mp3/drums.flac"}]}, r"stems\[0\]"),
        ({"stems": [STEM | {"key": f"{KEY}/a/drums.flac"}]}, r"stems\[0\]"),
        ({"stems": [STEM | {"key": f"{KEY}/manifest.json"}]}, r"stems\[0\]"),
        ({"stems": [STEM | {"key": f"{KEY}/.flac/"}]}, r"stems\[0\]"),
        ({"stems": [STEM | {"key": f"{KEY}/x.html", "content_type": "text/html"}]}, r"stems\[0\]"),
        ({"stems": [STEM | {"content_type": "text/html"}]}, r"stems\[0\]"),
        ({"stems": [STEM | {"size": -1}]}, r"stems\[0\]"),
        ({"stems": [STEM, STEM]}, r"\$\.stems"),
        ({"peaks": PEAKS | {"key": "another.mp3/peaks.bin"}}, r"\$\.peaks"),
        ({"peaks": PEAKS | {"key": STEM["key"]}}, r"\$\.peaks"),
        ({"peaks": PEAKS | {"content_type": "text/html"}}, r"\$\.peaks"),
        ({"peaks": PEAKS | {"size": -1}}, r"\$\.peaks"),
        ({"peaks": PEAKS | {"size": 1 << 40}}, r"\$\.peaks"),
        ({"peaks": PEAKS | {"columns": -1}}, r"\$\.peaks"),
        ({"peaks": PEAKS | {"rate": 0}}, r"\$\.peaks"),
        ({"song": MANIFEST["song"] | {"cover": COVER | {"key": "a/cover.jpg"}}}, r"song\.cover"),
        ({"song": MANIFEST["song"] | {"cover": COVER | {"key": f"{KEY}/a.svg"}}}, r"song\.cover"),
        ({"song": MANIFEST["song"] | {"cover": COVER | {"content_type": "text/html"}}}, "cover"),
        ({"song": MANIFEST["song"] | {"cover": COVER | {"content_type": "image/png"}}}, "cover"),
        ({"song": MANIFEST["song"] | {"cover": COVER | {"size": 300_001}}}, r"song\.cover"),
        ({"song": MANIFEST["song"] | {"cover": COVER | {"size": -1}}}, r"song\.cover"),
        ({"finished": ""}, r"\$\.finished"),
        ({"finished": "yesterday"}, r"\$\.finished"),
        ({"created": "2026-11-22 17:25:45Z"}, r"\$\.created"),
        ({"options": {"a": nested(900)}}, r"\$\.options"),
    ],
)
def test_a_manifest_that_no_job_writes_is_not_believed(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadDocument, match=named) as raised:
        read_result(f"{KEY}/manifest.json", manifest(**changes))
    assert str(raised.value).startswith(f"{KEY}/manifest.json: ")


def test_a_song_whose_key_is_another_hash_is_not_believed() -> None:
    song = HASH_SONG | {"key": f"{'6' * 64}.mp3"}
    with pytest.raises(BadDocument, match=r"\$\.song\.sha256"):
        read_result(f"{'6' * 64}.mp3/manifest.json", manifest(song=song, stems=[]))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"job": 1}, "job"),
        ({"song": FAILURE["song"] | {"key": "x"}}, r"\$\.song\.key"),
        ({"detail": nested(900)}, r"\$\.problem"),
        ({"started": "x"}, r"\$\.started"),
    ],
)
def test_a_failure_that_no_job_writes_is_not_believed(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadDocument, match=named):
        read_result(f"{KEY}/failure.json", failure(**changes))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"[" * 100_000, b"\xff", b'"\\ud800"', b" " * (MAX_BYTES + 1)]
)
@pytest.mark.parametrize("name", ["manifest.json", "failure.json"])
def test_what_is_no_document_is_not_believed(name: str, text: bytes) -> None:
    with pytest.raises(BadDocument):
        read_result(f"{KEY}/{name}", text)
