"""Change the title of a stem: a copy is named after its own song, not after the original's.

It reads only the layouts that encoders.py writes: ID3v2.4 (id3.org), Vorbis comments in FLAC (RFC
9639, section 8.6), and a LIST chunk of type INFO in WAV (Microsoft, Multimedia Data Standards
1991). mutagen knows no INFO chunk, and needs the whole file.
"""

import struct
from dataclasses import dataclass

from functions.separate.audio.wav_info import info_entry
from microdemucs.covers import MAX_COVER_BYTES
from microdemucs.flac_metadata import VORBIS_COMMENT
from microdemucs.id3v2 import from_synchsafe, id3v2_tag, text_frame

HEAD_BYTES = MAX_COVER_BYTES + (1 << 20)
"""The tags of a stem are within so many bytes."""


@dataclass(frozen=True, slots=True)
class NewHead:
    """The new beginning of a file. It replaces the first `replaced` bytes."""

    data: bytes
    replaced: int


def retitle(head: bytes, title: str) -> NewHead | None:
    """Return the beginning of a stem's file with another title; None if nothing changes.

    `head` is the file's first HEAD_BYTES, or all of it. A file without a title stays as it is, and
    so does one that encoders.py has not written: somebody has put it there.
    """
    for magic, change in ((b"ID3\x04", _id3v2), (b"fLaC", _flac), (b"RIFF", _wav)):
        if head.startswith(magic):
            try:
                new = change(head, title)
            except (struct.error, IndexError, ValueError):
                return None
            is_changed = new and new.replaced <= len(head) and new.data != head[: new.replaced]
            return new if is_changed else None
    return None


def _id3v2(head: bytes, title: str) -> NewHead | None:
    end = 10 + from_synchsafe(head[6:10])
    at = 10
    while at < end:
        behind = at + 10 + from_synchsafe(head[at + 4 : at + 8])
        if head[at : at + 4] == b"TIT2":
            frames = head[10:at] + text_frame("title", title) + head[behind:end]
            return NewHead(id3v2_tag(frames), end)
        at = behind
    return None


def _flac(head: bytes, title: str) -> NewHead | None:
    at = 4
    while at + 4 <= len(head):
        behind = at + 4 + int.from_bytes(head[at + 1 : at + 4], "big")
        if head[at] & 0x7F == VORBIS_COMMENT:
            body = _with_title(head[at + 4 : behind], title)
            block = head[at : at + 1] + len(body).to_bytes(3, "big") + body
            return NewHead(head[:at] + block, behind)
        at = behind
    return None


def _with_title(comments: bytes, title: str) -> bytes:
    """Return the body of a Vorbis comment block with another title."""
    texts = []
    at = 0
    while at < len(comments):
        (size,) = struct.unpack_from("<I", comments, at)
        texts.append(comments[at + 4 : at + 4 + size])
        # the number of comments follows the first text, which names the encoder
        at += 4 + size + (4 if len(texts) == 1 else 0)
    encoder, *fields = texts
    fields = [
        b"title=" + title.encode("utf-8", "replace") if f[:6].lower() == b"title=" else f
        for f in fields
    ]
    body = struct.pack("<I", len(encoder)) + encoder + struct.pack("<I", len(fields))
    return body + b"".join(struct.pack("<I", len(field)) + field for field in fields)


def _wav(head: bytes, title: str) -> NewHead | None:
    at = 12
    while head[at : at + 4] not in (b"data", b""):
        behind = at + 8 + struct.unpack_from("<I", head, at + 4)[0]
        if head[at : at + 4] == b"LIST":
            entries = _with_title_entry(head[at + 12 : behind], title)
            chunk = b"LIST" + struct.pack("<I", 4 + len(entries)) + b"INFO" + entries
            (size,) = struct.unpack_from("<I", head, 4)
            size += len(chunk) - (behind - at)
            return NewHead(b"RIFF" + struct.pack("<I", size) + head[8:at] + chunk, behind)
        at = behind
    return None


def _with_title_entry(entries: bytes, title: str) -> bytes:
    """Return the entries of an INFO list with another title."""
    result = b""
    at = 0
    while at < len(entries):
        size = struct.unpack_from("<I", entries, at + 4)[0]
        behind = at + 8 + size + size % 2
        is_title = entries[at : at + 4] == b"INAM"
        result += info_entry("title", title) if is_title else entries[at:behind]
        at = behind
    return result
