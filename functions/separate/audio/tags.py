"""The tags of a song: title, artist, album, track number, and its cover."""

from collections.abc import Mapping
from contextlib import suppress

import av
import av.error
from av.container import InputContainer

NAMES = ("title", "artist", "album", "track")
ENCODING = "latin-1"
"""How containers are opened: every byte of a tag is kept, and its encoding is found out here."""
MAX_COVER_BYTES = 300_000
_MAX_CHARACTERS = 500


def read_tags(*metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the tags in FFmpeg's `metadata`; of several, the first that has a tag counts."""
    tags: dict[str, str] = {}
    for found in metadata:
        by_name = {name.lower(): value for name, value in found.items()}
        for name in NAMES:
            text = _decode(by_name.get(name, "")).strip()[:_MAX_CHARACTERS]
            if text and name not in tags:
                tags[name] = text
    return tags


def read_cover(container: InputContainer) -> bytes:
    """Return the attached JPEG or PNG of at most MAX_COVER_BYTES; b"" if there is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            continue
        with suppress(av.error.FFmpegError):
            for packet in container.demux(stream):
                cover = bytes(packet)
                is_picture = cover.startswith((b"\xff\xd8\xff", b"\x89PNG"))
                return cover if is_picture and len(cover) <= MAX_COVER_BYTES else b""
    return b""


def _decode(text: str) -> str:
    """Undo ENCODING: UTF-8 if it is, else what Windows calls Latin-1."""
    data = text.encode(ENCODING, "replace")
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            decoded = data.decode(encoding)
            return "".join(char for char in decoded if char.isprintable())
    return data.decode(ENCODING)
