"""A JSON body with a song inside: read piece by piece, the song to a file, the rest to memory.

The body is one object whose member "mp3" is base64 of the song, hundreds of megabytes long. No
JSON parser we know hands out a string in pieces, so this scanner finds the one string that is the
value of "mp3" at the top level and takes it out; what is left is a small JSON text with "" in its
place, for a real parser to judge.
"""

import binascii
import hashlib
import re
from typing import BinaryIO, Protocol

from functions.upload.json_documents import DOCUMENT_BYTES
from microdemucs.problems import Problem

PIECE_BYTES = 256 * 1024

_STRUCTURE = re.compile(rb'["{}\[\],:]')
_STRING_END = re.compile(rb'["\\]')
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|([^u]))")
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")


class Source(Protocol):
    """Where a body comes from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end."""


class Song:
    """The bytes of a song, as base64 tells them: written to `file`, counted and hashed."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.size = 0
        self._file = file
        self._limit = limit
        self._hash = hashlib.sha256()
        self._left = b""
        self._ended = False

    @property
    def sha256(self) -> str:
        """Of the bytes so far, in hex."""
        return self._hash.hexdigest()

    def feed(self, text: bytes) -> None:
        """Take some characters of the base64 text. Raises Problem."""
        text = self._left + text
        whole = len(text) - len(text) % 4
        self._left = text[whole:]
        if whole:
            self._write(text[:whole])

    def end(self) -> None:
        """The text has ended. Raises Problem where it ends within four characters."""
        if self._left:
            raise _not_base64("its length is not a multiple of four")

    def _write(self, text: bytes) -> None:
        if self._ended:
            raise _not_base64("it goes on after its padding")
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            raise _not_base64("no line ends, no data: prefix, '+' and '/' as they are") from None
        self._ended = text.endswith(b"=")
        self.size += len(data)
        if self.size > self._limit:
            raise Problem(
                413,
                "too-large",
                "The song is too large",
                f"a song may have {self._limit} bytes",
                limit=self._limit,
            )
        self._hash.update(data)
        self._file.write(data)


def read(source: Source, song: Song) -> bytes:
    """Feed `song` with the member "mp3" of the JSON body; the body with "" in its place.

    Whether the result is JSON is for its parser to say. Raises Problem, also where there is more
    than DOCUMENT_BYTES beside the song.
    """
    scanner = _Scanner(song)
    while piece := source.read(PIECE_BYTES):
        scanner.feed(piece)
        if len(scanner.rest) + len(scanner.unread) > DOCUMENT_BYTES + PIECE_BYTES:
            raise Problem(
                413,
                "body-too-large",
                "The request's body is too large",
                f"beside the member mp3 it may have {DOCUMENT_BYTES} bytes",
                limit=DOCUMENT_BYTES,
            )
    return bytes(scanner.rest + scanner.unread)


class _Scanner:
    """Where in the JSON text we are. `rest` is what was passed and is not the song.

    A second "mp3" is a string like others: the parser then finds it where "" should be.
    """

    def __init__(self, song: Song) -> None:
        self.rest = bytearray()
        self.unread = b""
        self._at = 0  # in unread
        self._song = song
        self._song_seen = False
        self._depth = 0
        self._is_name = False  # at the top level: whether the next string is a member's name
        self._name = b""
        self._string_at = 0  # in rest
        self._go = self._between

    def feed(self, piece: bytes) -> None:
        self.unread, self._at = self.unread + piece, 0
        while self._go():
            pass
        self.unread = self.unread[self._at :]

    # Each of these takes what it can from `unread` and says whether the next can go on.

    def _between(self) -> bool:
        found = _STRUCTURE.search(self.unread, self._at)
        if not found:
            return self._pass(len(self.unread))
        self._pass(found.end())
        match found[0]:
            case b"{" | b"[":
                self._depth += 1
                self._is_name = self._depth == 1
            case b"}" | b"]":
                self._depth -= 1
            case b"," if self._depth == 1:
                self._is_name, self._name = True, b""
            case b":" if self._depth == 1:
                self._is_name = False
            case b'"':
                self._string_at = len(self.rest)
                self._go = self._in_song if self._is_song() else self._in_string
        return True

    def _is_song(self) -> bool:
        is_value = self._depth == 1 and not self._is_name
        is_song = is_value and self._name == b"mp3" and not self._song_seen
        self._song_seen |= is_song
        return is_song

    def _in_string(self) -> bool:
        found = _STRING_END.search(self.unread, self._at)
        if not found:
            return self._pass(len(self.unread))
        if found[0] == b"\\":
            if found.end() == len(self.unread):
                return self._pass(found.start())
            self._pass(found.end() + 1)
            return True
        self._pass(found.end())
        if self._depth == 1 and self._is_name:
            self._name = _unescaped(bytes(self.rest[self._string_at : -1]))
        self._go = self._between
        return True

    def _in_song(self) -> bool:
        end = self.unread.find(b'"', self._at)
        text = self.unread[self._at : end if end >= 0 else None]
        if end >= 0 and text.endswith(b"\\"):  # an escaped quote, or a backslash: no base64
            raise _not_base64("it holds a backslash")
        cut = _CUT_ESCAPE.search(text) if end < 0 and b"\\" in text else None
        if cut:
            text = text[: cut.start()]
        self._song.feed(_unescaped(text) if b"\\" in text else text)
        self._at += len(text)
        if end < 0:
            return False
        self._song.end()
        self._pass(end + 1)
        self._go = self._between
        return True

    def _pass(self, end: int) -> bool:
        """Keep what is before `end`. False, for those that can take no more of this piece."""
        self.rest += self.unread[self._at : end]
        self._at = end
        return False


def _unescaped(text: bytes) -> bytes:
    """JSON's escapes (RFC 8259, section 7), of which encoders use some on + and / too."""

    def one(escape: re.Match[bytes]) -> bytes:
        if escape[1]:
            return chr(int(escape[1], 16)).encode("utf-8", "replace")
        return escape[2] if escape[2] in b'/"\\' else escape[0]

    return _ESCAPE.sub(one, text)


def _not_base64(why: str) -> Problem:
    return Problem(
        422,
        "not-base64",
        "The song is not base64",
        f"mp3 must be base64 as in RFC 4648, section 4: {why}",
    )
