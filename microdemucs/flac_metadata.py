"""Metadata blocks of a FLAC (RFC 9639, section 8): the tags and the cover."""

import struct

from microdemucs.audio_tags import AudioTags
from microdemucs.covers import cover_type

VORBIS_COMMENT, PICTURE = 4, 6
_FRONT_COVER = 3
_VENDOR = b"Micro Demucs"


def metadata_block(kind: int, body: bytes, *, is_last: bool = False) -> bytes:
    """Return a block with its header; the audio follows the last one."""
    return bytes([kind | is_last << 7]) + len(body).to_bytes(3, "big") + body


def comment_body(tags: AudioTags) -> bytes:
    """Return the body of a Vorbis comment (section 8.6)."""
    texts = [
        f"{FIELDS.get(name, name)}={text}".encode("utf-8", "replace")
        for name, text in tags.texts.items()
    ]
    count = struct.pack("<I", len(texts))
    return _sized(_VENDOR) + count + b"".join(map(_sized, texts))


def picture_body(cover: bytes) -> bytes:
    """Return the body of a picture (8.8), a JPEG or PNG. Width, height, colours are not filled."""
    media_type = cover_type(cover).encode()
    head = struct.pack(">II", _FRONT_COVER, len(media_type)) + media_type + struct.pack(">I", 0)
    return head + struct.pack(">IIIII", 0, 0, 0, 0, len(cover)) + cover


FIELDS = {"track": "tracknumber"}
"""What a Vorbis comment calls AudioTags' texts, if it has another name."""


def _sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data
