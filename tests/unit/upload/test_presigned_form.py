import pytest

from functions.upload.presigned_form import audio_type, safe_file_name
from microdemucs.problems import Problem


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.mp3", "a.mp3"),
        ("C:\\music\\a.mp3", "a.mp3"),
        ("../../etc/a.mp3", "a.mp3"),
        ("a\x00\u202eb\n.mp3", "ab.mp3"),
        ("e\u0301.mp3", "é.mp3"),
        ("${filename}.mp3", "{filename}.mp3"),
        ("${${filename}}.mp3", "{{filename}}.mp3"),
        ("$$\x00{filename}$.mp3", "{filename}$.mp3"),
        ("ü" * 300 + ".flac", "ü" * 97 + ".flac"),
    ],
)
def test_a_path_becomes_a_short_file_name(path: str, name: str) -> None:
    assert safe_file_name(path) == name


@pytest.mark.parametrize("value", [None, 5, "", "a/", "a/..", ".", "\x00"])
def test_a_value_without_a_file_name_is_rejected(value: object) -> None:
    with pytest.raises(Problem) as raised:
        safe_file_name(value)
    assert raised.value.extensions == {"member": "filename", "accepts": "the name of a file"}


@pytest.mark.parametrize(
    ("name", "declared", "content_type"),
    [
        ("a.mp3", None, "audio/mpeg"),
        ("a.mp3", "", "audio/mpeg"),
        ("a.MP3", "application/octet-stream", "audio/mpeg"),
        ("a.ogg", "video/ogg", "audio/ogg"),
        ("a.m4a", "audio/x-m4a", "audio/x-m4a"),
        ("take 1", "audio/wav; codecs=1", "audio/wav"),
        ("a.aif", "", "audio/aiff"),
        ("clip.MP4", "video/mp4", "video/mp4"),
        ("clip.mkv", "application/x-matroska", "audio/webm"),
    ],
)
def test_the_media_type_is_audio_whatever_the_browser_declares(
    name: str, declared: str | None, content_type: str
) -> None:
    assert audio_type(name, declared) == content_type


def test_a_file_that_is_no_audio_is_rejected_with_the_accepted_suffixes() -> None:
    with pytest.raises(Problem) as raised:
        audio_type("notes.txt", "text/plain")
    assert raised.value.detail.startswith("filename is 'notes.txt'; it must be a name that ends in")
    assert ".flac" in raised.value.detail
