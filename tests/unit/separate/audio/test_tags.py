import pytest

from functions.separate.audio.tags import ENCODING, read_tags


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Björk ♫".encode(), "Björk ♫"),
        ("Björk".encode("latin-1"), "Björk"),
        ("“Björk”".encode("cp1252"), "“Björk”"),
        (b"\x81\x8d", "\x81\x8d"),
        (b"a\0b\nc", "abc"),
        (b"x" * 999, "x" * 500),
    ],
)
def test_a_tag_is_read_in_any_encoding(data: bytes, text: str) -> None:
    assert read_tags({"TITLE": data.decode(ENCODING)}) == {"title": text}


def test_the_first_that_has_a_tag_counts() -> None:
    found = read_tags({"title": "", "genre": "pop"}, {"title": "a", "Artist": "b"}, {"title": "c"})
    assert found == {"title": "a", "artist": "b"}
