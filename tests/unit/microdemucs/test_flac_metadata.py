import struct

from microdemucs.audio_tags import AudioTags
from microdemucs.flac_metadata import (
    PICTURE,
    VORBIS_COMMENT,
    comment_body,
    metadata_block,
    picture_body,
)

COVER = b"\x89PNG" + bytes(100)


def test_a_block_says_its_kind_and_size() -> None:
    assert metadata_block(VORBIS_COMMENT, bytes(300)) == bytes([4, 0, 1, 44]) + bytes(300)


def test_the_last_block_is_marked() -> None:
    assert metadata_block(PICTURE, b"x", is_last=True) == bytes([0x86, 0, 0, 1]) + b"x"


def test_a_comment_has_a_field_for_each_tag() -> None:
    body = comment_body(AudioTags("Söng", "", "B", "3/12", "1999", COVER))
    [vendor] = struct.unpack_from("<I", body)
    fields, at = [], 8 + vendor
    while at < len(body):
        [size] = struct.unpack_from("<I", body, at)
        fields.append(body[at + 4 : at + 4 + size].decode())
        at += 4 + size
    assert fields == ["title=Söng", "album=B", "tracknumber=3/12", "date=1999"]
    assert struct.unpack_from("<I", body, 4 + vendor) == (len(fields),)


def test_a_picture_is_a_front_cover() -> None:
    body = picture_body(COVER)
    assert body[:8] == struct.pack(">II", 3, len(b"image/png"))
    assert body.endswith(struct.pack(">I", len(COVER)) + COVER)
