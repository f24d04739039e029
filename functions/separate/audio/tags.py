"""The tags of a song: title, artist, album, track number, date, tempo, key, and its cover."""

import re
from collections.abc import Mapping
from contextlib import suppress

import av
import av.error
from av.container import InputContainer

from microdemucs.covers import is_cover

NAMES = ("title", "artist", "album", "track")
_MAX_BYTES = 2000  # of text
_OTHER_NAMES = {
    "bpm": ("bpm", "tbpm", "tmpo", "wm/beatsperminute"),
    "key": ("initialkey", "tkey", "key", "wm/initialkey"),
}
"""Tags without a name of FFmpeg's: what ID3v2, Vorbis comments, MP4 and WMA call them."""
_FORMS = {"bpm": re.compile(r"[1-9]\d{0,2}(\.\d{1,3})?"), "key": re.compile(r"[ -~]{1,12}")}

_DATE = re.compile(r"[1-9][0-9]{3}(-[0-9]{2}){0,2}(?![0-9])")  # a time may follow


def read_tags(*metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the tags in FFmpeg's `metadata`; of several, the first that has a tag counts.

    Each character is a byte: tag_encoding.decode_tags makes text of them.
    """
    tags: dict[str, str] = {}
    for found in metadata:
        by_name = {name.lower(): value for name, value in found.items()}
        for name in NAMES:
            text = by_name.get(name, "").strip(" \0\r\n\t")[:_MAX_BYTES]
            if text and name not in tags:
                tags[name] = text
        for name, others in _OTHER_NAMES.items():
            texts = (by_name.get(other, "").strip() for other in others)
            if text := next(filter(_FORMS[name].fullmatch, texts), ""):
                tags.setdefault(name, text)
        if date := _DATE.match(by_name.get("date", "").strip()):
            tags.setdefault("date", date[0])
    return tags


def read_cover(container: InputContainer) -> bytes:
    """Return the attached JPEG or PNG of at most MAX_COVER_BYTES; b"" if there is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            continue
        with suppress(av.error.FFmpegError):
            for packet in container.demux(stream):
                return cover if is_cover(cover := bytes(packet)) else b""
    return b""
