import pytest

from microdemucs.formats import CONTENT_TYPES, FORMATS, SUFFIXES, is_unrelated


def test_no_suffix_or_content_type_occurs_twice() -> None:
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert len(set(CONTENT_TYPES)) == len(CONTENT_TYPES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_of_a_format_is_a_song(suffix: str) -> None:
    assert not is_unrelated(f"album/Song{suffix.upper()}", "application/octet-stream")


def test_the_first_content_type_of_every_format_is_one_of_audio_or_ogg() -> None:
    assert {format_.content_types[0].partition("/")[0] for format_ in FORMATS} == {"audio"}


@pytest.mark.parametrize(
    ("key", "content_type", "expected"),
    [
        ("album/", "", True),
        ("album/.DS_Store", "", True),
        ("album/._01.mp3", "", True),
        ("cover.JPG", "image/jpeg", True),
        ("song.mp3.part", "", True),
        ("notes.txt", "text/plain", True),
        ("notes.txt", "audio/mpeg", False),
        ("no suffix", "", False),
        ("song.ape", "", False),
        ("song.mp3.enc", "", False),
        ("a.b/c", "", False),
    ],
)
def test_only_what_is_clearly_no_song_is_unrelated(
    key: str, content_type: str, expected: bool
) -> None:
    assert is_unrelated(key, content_type) is expected
