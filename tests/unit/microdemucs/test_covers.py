"""Which pictures are covers, and what their objects are."""

import pytest

from microdemucs.covers import MAX_COVER_BYTES, cover_keys, cover_name, cover_type, is_cover

JPEG, PNG = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("data", [JPEG, PNG, JPEG + bytes(MAX_COVER_BYTES - len(JPEG))])
def test_a_small_jpeg_or_png_is_a_cover(data: bytes) -> None:
    assert is_cover(data)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg>", JPEG + bytes(MAX_COVER_BYTES)])
def test_anything_else_is_none(data: bytes) -> None:
    assert not is_cover(data)


def test_a_cover_has_a_name_and_a_type_by_its_bytes() -> None:
    assert (cover_name(JPEG), cover_type(JPEG)) == ("cover.jpg", "image/jpeg")
    assert (cover_name(PNG), cover_type(PNG)) == ("cover.png", "image/png")


def test_a_cover_is_beside_the_stems() -> None:
    assert cover_keys("a/b.mp3") == ["a/b.mp3/cover.jpg", "a/b.mp3/cover.png"]
