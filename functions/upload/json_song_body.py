"""Read a JSON body with a song inside: the song goes to a file, the rest to memory.

The body is one object whose member "mp3" is base64 of the song, hundreds of megabytes long. JSON
parsers return a string whole. This scanner finds the one string that is the value of "mp3" at the
top level and decodes it chunk by chunk; a small JSON text with "" in its place remains, for a real
parser.
"""

import binascii
import re
from typing import Protocol

from functions.upload.json_documents import MAX_DOCUMENT_BYTES
from functions.upload.song_file import SongFile
from microdemucs.problems import Problem

CHUNK_BYTES = 256 * 1024

_STRUCTURE = re.compile(rb'["{}\[\],:]')
_STRING_END = re.compile(rb'["\\]')
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|([^u]))")
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")


class Body(Protocol):
    """A request body that is read in chunks."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; b"" at the end."""


class SongDecoder:
    """Decodes the base64 text of a song, and writes the bytes to `song`."""

    def __init__(self, song: SongFile) -> None:
        self._song = song
        self._undecoded = b""  # fewer than four characters
        self._is_padded = False

    def feed(self, text: bytes) -> None:
        """Decode some more characters. Raises Problem (413, 422)."""
        text = self._undecoded + text
        whole = len(text) - len(text) % 4
        self._undecoded = text[whole:]
        if whole:
            self._decode(text[:whole])

    def finish(self) -> None:
        """End the text. Raises Problem (422) if its length is not a multiple of four."""
        if self._undecoded:
            raise _not_base64("its length is not a multiple of four")

    def _decode(self, text: bytes) -> None:
        if self._is_padded:
            raise _not_base64("it continues after its padding")
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            raise _not_base64(
                "it has other characters than A to Z, a to z, 0 to 9, + and /, such as line ends "
                "or a data: prefix, or wrong padding"
            ) from None
        self._is_padded = text.endswith(b"=")
        self._song.write(data)


def extract_song(body: Body, song: SongDecoder) -> bytes:
    """Decode the member "mp3" of the JSON body, and return the body with "" in its place.

    The result may be invalid JSON: its parser finds that out. Raises Problem, also if there are
    more than MAX_DOCUMENT_BYTES beside the song.
    """
    scanner = _Scanner(song)
    while chunk := body.read(CHUNK_BYTES):
        scanner.feed(chunk)
        if len(scanner.rest) + len(scanner.unread) > MAX_DOCUMENT_BYTES + CHUNK_BYTES:
            raise Problem(
                413,
                "body-too-large",
                "The request body is too large",
                f"at most {MAX_DOCUMENT_BYTES} bytes are accepted beside the member mp3",
                limit=MAX_DOCUMENT_BYTES,
            )
    return bytes(scanner.rest + scanner.unread)


class _Scanner:
    """A position in the JSON text. `rest` is the text before it, without the song.

    A second "mp3" stays an ordinary string; the parser then returns it instead of "".
    """

    def __init__(self, song: SongDecoder) -> None:
        self.rest = bytearray()
        self.unread = b""
        self._at = 0  # in unread
        self._song = song
        self._song_seen = False
        self._depth = 0
        self._is_name = False  # at the top level: whether the next string is a member's name
        self._name = b""
        self._string_at = 0  # in rest
        self._step = self._outside_strings

    def feed(self, chunk: bytes) -> None:
        self.unread, self._at = self.unread + chunk, 0
        while self._step():
            pass
        self.unread = self.unread[self._at :]

    # Each step consumes what it can of `unread`, and returns whether the next step can go on.

    def _outside_strings(self) -> bool:
        found = _STRUCTURE.search(self.unread, self._at)
        if not found:
            self._keep(len(self.unread))
            return False
        self._keep(found.end())
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
                self._step = self._in_song if self._is_song() else self._in_string
        return True

    def _is_song(self) -> bool:
        is_value = self._depth == 1 and not self._is_name
        is_song = is_value and self._name == b"mp3" and not self._song_seen
        self._song_seen |= is_song
        return is_song

    def _in_string(self) -> bool:
        found = _STRING_END.search(self.unread, self._at)
        if not found:
            self._keep(len(self.unread))
            return False
        if found[0] == b"\\":
            if found.end() == len(self.unread):
                self._keep(found.start())
                return False
            self._keep(found.end() + 1)
            return True
        self._keep(found.end())
        if self._depth == 1 and self._is_name:
            self._name = _unescaped(bytes(self.rest[self._string_at : -1]))
        self._step = self._outside_strings
        return True

    def _in_song(self) -> bool:
        end = self.unread.find(b'"', self._at)
        text = self.unread[self._at : end if end >= 0 else None]
        if end >= 0 and text.endswith(b"\\"):  # an escaped quote or backslash is not base64
            raise _not_base64("it has a backslash")
        cut = _CUT_ESCAPE.search(text) if end < 0 and b"\\" in text else None
        if cut:
            text = text[: cut.start()]
        self._song.feed(_unescaped(text) if b"\\" in text else text)
        self._at += len(text)
        if end < 0:
            return False
        self._song.finish()
        self._keep(end + 1)
        self._step = self._outside_strings
        return True

    def _keep(self, end: int) -> None:
        """Move on to `end` and keep the text before it."""
        self.rest += self.unread[self._at : end]
        self._at = end


def _unescaped(text: bytes) -> bytes:
    """Replace JSON's escapes (RFC 8259, section 7); some encoders escape + and / too."""

    def replacement(escape: re.Match[bytes]) -> bytes:
        if escape[1]:
            return chr(int(escape[1], 16)).encode("utf-8", "replace")
        return escape[2] if escape[2] in b'/"\\' else escape[0]

    return _ESCAPE.sub(replacement, text)


def _not_base64(why: str) -> Problem:
    return Problem(
        422,
        "not-base64",
        "The song is not base64",
        f"mp3 must be base64 (RFC 4648, section 4), but {why}",
    )
