"""The tag that begins an MP3: ID3v2.4 (id3.org)."""

from microdemucs.audio_tags import AudioTags
from microdemucs.covers import cover_type

_TEXT_FRAMES = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "track": b"TRCK",
    "date": b"TDRC",
}
_UTF_8, _FRONT_COVER = b"\x03", b"\x03"


def id3v2(tags: AudioTags) -> bytes:
    """Return the tag; b"" if there is nothing to say."""
    frames = b"".join(text_frame(name, text) for name, text in tags.texts.items())
    if tags.cover:
        head = _UTF_8 + cover_type(tags.cover).encode() + b"\0" + _FRONT_COVER + b"\0"
        frames += _frame(b"APIC", head + tags.cover)
    return id3v2_tag(frames) if frames else b""


def id3v2_tag(frames: bytes) -> bytes:
    """Return the tag with these frames."""
    return b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames


def text_frame(name: str, text: str) -> bytes:
    """Return the frame for one of AudioTags' texts."""
    return _frame(_TEXT_FRAMES[name], _UTF_8 + text.encode("utf-8", "replace"))


def from_synchsafe(size: bytes) -> int:
    """Return the size that is written in four bytes of seven bits."""
    return size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
