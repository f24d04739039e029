"""The tags of a stem, and how an MP3 (ID3v2.4, id3.org) and a WAV (INFO) carry them."""

import struct
from dataclasses import dataclass, field

from microdemucs.covers import cover_type

_INFO_NAMES = {"title": b"INAM", "artist": b"IART", "album": b"IPRD", "track": b"ITRK"}
_TEXT_FRAMES = {"title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "track": b"TRCK"}
_UTF_8, _FRONT_COVER = b"\x03", b"\x03"


@dataclass(frozen=True, slots=True)
class StemTags:
    """The tags of one stem. `track` may be "3/12"; `cover` is a JPEG or PNG, or empty."""

    title: str = ""
    artist: str = ""
    album: str = ""
    track: str = ""
    cover: bytes = field(default=b"", repr=False)

    @staticmethod
    def of_song(song: dict[str, str], song_name: str, stem: str, cover: bytes) -> "StemTags":
        """Return the tags of a stem; a song without a title has the name of its file."""
        return StemTags(
            title=title_of_stem(song, song_name, stem),
            artist=song.get("artist", ""),
            album=song.get("album", ""),
            track=song.get("track", ""),
            cover=cover,
        )


NO_TAGS = StemTags()


def title_of_stem(song: dict[str, str], song_name: str, stem: str) -> str:
    """Return a stem's title, by the song's tags or, if they have none, the name of its file."""
    return f"{song.get('title') or song_name} ({stem})"


def texts(tags: StemTags) -> dict[str, str]:
    """Return the tags that are not empty, without the cover."""
    return {member: text for member in _TEXT_FRAMES if (text := getattr(tags, member))}


def id3v2(tags: StemTags) -> bytes:
    """Return the tag that begins an MP3; b"" if there is nothing to say."""
    frames = b"".join(text_frame(member, text) for member, text in texts(tags).items())
    if tags.cover:
        head = _UTF_8 + cover_type(tags.cover).encode() + b"\0" + _FRONT_COVER + b"\0"
        frames += _frame(b"APIC", head + tags.cover)
    return id3v2_tag(frames) if frames else b""


def id3v2_tag(frames: bytes) -> bytes:
    """Return the tag with these frames."""
    return b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames


def text_frame(member: str, text: str) -> bytes:
    """Return the frame of ID3v2 for one member of StemTags."""
    return _frame(_TEXT_FRAMES[member], _UTF_8 + text.encode("utf-8", "replace"))


def info_entry(member: str, text: str) -> bytes:
    """Return the entry of an INFO list for one member of StemTags."""
    data = text.encode("utf-8", "replace") + b"\0"
    return _INFO_NAMES[member] + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def from_synchsafe(size: bytes) -> int:
    """Return the size that ID3v2 writes in four bytes of seven bits."""
    return size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
