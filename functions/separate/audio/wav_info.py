"""The tags of a WAV: a LIST chunk of type INFO (Microsoft, Multimedia Data Standards 1991)."""

import struct

from microdemucs.audio_tags import AudioTags

_NAMES = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "track": b"ITRK",
    "date": b"ICRD",
}


def info_list(tags: AudioTags) -> bytes:
    """Return the chunk; b"" if there is nothing to say."""
    body = b"".join(info_entry(name, text) for name, text in tags.texts.items())
    return b"LIST" + struct.pack("<I", 4 + len(body)) + b"INFO" + body if body else b""


def info_entry(name: str, text: str) -> bytes:
    """Return the entry for one of AudioTags' texts."""
    data = text.encode("utf-8", "replace") + b"\0"
    return _NAMES[name] + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
