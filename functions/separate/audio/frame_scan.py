"""Find the audio frames of an MP3 or ADTS file among tags, pictures and junk.

FFmpeg's demuxers for both take every byte behind the first frame for audio: a cover in a tag at the
end of the file is decoded as noise. This module walks from frame to frame instead (ISO/IEC 11172-3
and 13818-3, section 2.4.1; ISO/IEC 13818-7, section 6.2), skips the tags it knows, and searches for
the next frames behind anything else. Tags: ID3v1, ID3v2 (id3.org), APEv1/2, Lyrics3.
"""

import re
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from microdemucs.mpeg_audio import Frame, read_mpeg_header

_CHUNK = 1 << 20
_CONFIRM = 3  # frames that follow the first of a stretch: fewer occur in pictures by chance

_FRAME_OR_TAG = re.compile(
    rb"\xff[\xe2-\xff][\x10-\xef]|\xff[\xf0\xf1\xf8\xf9]|ID3|APETAGEX|LYRICSBEGIN"
)
_TAG_BEGINS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_APE = re.compile(b"APETAGEX")
_LYRICS_END = re.compile(b"LYRICS200|LYRICSEND")
_LONGEST_MAGIC = 11
_LONGEST_LYRICS = 1_000_020  # bytes: the size has six digits
_LONGEST_LYRICS_1 = 5_120
_MAX_STEPS = 1_000_000  # tags, and places that look like a frame: a gigabyte of noise has less
_INFO_OFFSETS = (13, 21, 36)  # of "Xing" or "Info" in a frame, behind the side information

_ADTS_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000),
    *(24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)
ReadHeader = Callable[[bytes], Frame | None]


class AudioMap(NamedTuple):
    """Where a file's audio is: stretches of bytes [start, stop), in order.

    `missing_seconds` is how much audio is damaged between them; `junk` counts the bytes that are
    neither audio nor a tag. `is_cut` tells whether the file ends within a frame.
    """

    stretches: list[tuple[int, int]]
    missing_seconds: float
    junk: int
    is_cut: bool

    @property
    def size(self) -> int:
        """How many bytes are audio."""
        return sum(stop - start for start, stop in self.stretches)


def read_adts_header(data: bytes) -> Frame | None:
    """Read the header of an ADTS frame; None if these bytes are none."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    rate_index, size = data[2] >> 2 & 15, (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if rate_index >= len(_ADTS_RATES) or size < 7:
        return None
    rate, blocks = _ADTS_RATES[rate_index], (data[6] & 3) + 1
    return Frame(size, 1024 * blocks / rate, (data[1] & 8, data[2] >> 6, rate))


HEADERS: dict[str, ReadHeader] = {"mp3": read_mpeg_header, "aac": read_adts_header}
"""By FFmpeg's name of the container."""


def scan(file: BinaryIO, read_header: ReadHeader) -> AudioMap | None:
    """Return where the audio of a seekable `file` is; None if it has no frames."""
    return _Scan(file, read_header).run()


class _Scan:
    def __init__(self, file: BinaryIO, read_header: ReadHeader) -> None:
        self._file = file
        self._read_header = read_header
        self._chunk, self._chunk_start = b"", 0
        self._end = file.seek(0, 2)
        self._known: dict[re.Pattern[bytes], tuple[int, int | None]] = {}
        self._steps = 0

    def run(self) -> AudioMap | None:
        self._end = self._without_tags_at_the_end()
        stretches: list[tuple[int, int]] = []
        missing = rate = 0.0  # `rate`: bytes per second of what was read last
        at = tags = lost = 0  # `lost`: bytes since the last frame, unless a tag is among them
        follows_audio = False
        while at < self._end and self._steps < _MAX_STEPS:
            if tag := self._tag_size(at):
                self._steps += 1
                at, tags, lost, follows_audio = at + tag, tags + tag, 0, False
            elif self._begins_audio(at):
                if lost and not self._is_info_frame(at):
                    missing += lost / rate
                start = stretches.pop()[0] if stretches and stretches[-1][1] == at else at
                stop, seconds = self._walk(at)
                stretches.append((start, stop))
                rate, lost, follows_audio, at = (stop - at) / seconds, 0, True, stop
            else:
                following = self._next_frame_or_tag(at + 1)
                if following is None:
                    break
                lost, at = lost + following - at if follows_audio else 0, following
        if not stretches:
            return None
        start, stop = stretches.pop()
        stretches.append((start, min(stop, self._end)))
        audio = sum(stop - start for start, stop in stretches)
        junk = max(0, self._end - audio - tags)
        return AudioMap(stretches, missing, junk, stop > self._end)

    def _walk(self, start: int) -> tuple[int, float]:
        """Follow the frames from `start`: where they end, and their duration in s."""
        self._load(start)
        first = self._read_header(self._bytes(start, 8))
        assert first
        at, seconds, frame = start, 0.0, first
        while True:
            at, seconds = at + frame.size, seconds + frame.seconds
            following = self._read_header(self._bytes(at, 8)) if at < self._end else None
            if not following or following.stream != first.stream:
                return at, seconds
            frame = following

    def _begins_audio(self, at: int) -> bool:
        """Whether enough frames follow one another from here, or all up to the end or a tag."""
        first = self._read_header(self._bytes(at, 8))
        if not first:
            return False
        frame = first
        for count in range(_CONFIRM):
            at += frame.size
            if at == self._end or self._tag_size(at):
                return True
            following = self._read_header(self._bytes(at, 8)) if at < self._end else None
            if not following or following.stream != first.stream:
                return count > 0 and at > self._end
            frame = following
        return True

    def _is_info_frame(self, at: int) -> bool:
        """Whether a Xing or Info frame is here: another file begins with it."""
        frame = self._bytes(at, 40)
        return any(frame[start : start + 4] in (b"Xing", b"Info") for start in _INFO_OFFSETS)

    def _next_frame_or_tag(self, at: int) -> int | None:
        while (found := self._search(_FRAME_OR_TAG, at)) is not None and self._steps < _MAX_STEPS:
            self._steps += 1
            if self._tag_size(found) or self._begins_audio(found):
                return found
            at = found + 1
        return None

    def _tag_size(self, at: int) -> int:
        """How many bytes of a tag begin here; 0 if none does.

        A tag whose size cannot be true counts as its header only, so that no audio is lost.
        """
        head = self._bytes(at, 32)
        if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
            size = 10 + _synchsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)
            return size if self._can_follow_tag(at + size) else 10
        if head[:8] == b"APETAGEX" and len(head) == 32:
            size = int.from_bytes(head[12:16], "little")
            is_header = bool(head[23] & 0x20) and self._bytes(at + size, 8) == b"APETAGEX"
            return 32 + size if is_header else 32
        if head[:3] == b"TAG":
            return 128
        if head[:11] == b"LYRICSBEGIN":
            stop = self._search_once(_LYRICS_END, at)
            return stop + 9 - at if stop and stop - at < _LONGEST_LYRICS else 0
        return self._headless_tag_size(at)

    def _can_follow_tag(self, at: int) -> bool:
        """Whether the file ends here, or a frame, another tag or padding begins."""
        head = self._bytes(at, 11)
        return (
            at == self._end
            or head.startswith((*_TAG_BEGINS, bytes(4)))
            or self._read_header(head[:8]) is not None
        )

    def _headless_tag_size(self, at: int) -> int:
        """Return the size of an APE tag with only a footer that reaches back to `at`; else 0."""
        if not self._looks_like_ape_item(at):
            return 0
        footer = self._search_once(_APE, at)
        if footer is None:
            return 0
        size = int.from_bytes(self._bytes(footer + 12, 4), "little")
        return footer + 32 - at if footer + 32 - size == at else 0

    def _looks_like_ape_item(self, at: int) -> bool:
        """Return whether this is two numbers of 4 bytes, a key of ASCII characters, and a zero."""
        head = self._bytes(at, 8 + 256)
        key, zero, _ = head[8:].partition(b"\0")
        return bool(zero) and 2 <= len(key) <= 255 and key.isascii() and key.decode().isprintable()

    def _without_tags_at_the_end(self) -> int:
        """Where the file ends without the tags that are found by their footers."""
        end = self._end
        while size := self._footer_size(end):
            end -= size
        return end

    def _footer_size(self, end: int) -> int:
        """Return the size of the tag that ends at `end`; 0 if none does."""
        if end >= 128 and self._bytes(end - 128, 3) == b"TAG":
            return 128 + (227 if end >= 355 and self._bytes(end - 355, 4) == b"TAG+" else 0)
        footer = self._bytes(end - 32, 32) if end >= 32 else b""
        if footer[:8] == b"APETAGEX":
            size = int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
            is_whole = 32 < size <= end and (
                self._bytes(end - size, 8) == b"APETAGEX" or self._looks_like_ape_item(end - size)
            )
            return size if is_whole else 32
        if footer[-9:] == b"LYRICS200" and footer[-15:-9].isdigit():
            size = int(footer[-15:-9]) + 15
            return size if size <= end and self._bytes(end - size, 6) == b"LYRICS" else 0
        if footer[-9:] == b"LYRICSEND":
            longest = min(end, _LONGEST_LYRICS_1)
            start = self._bytes(end - longest, longest).rfind(b"LYRICSBEGIN")
            return longest - start if start >= 0 else 0
        if footer[-10:-7] == b"3DI" and max(footer[-4:]) < 0x80:
            size = 20 + _synchsafe(footer[-4:])
            return size if size <= end and self._bytes(end - size, 3) == b"ID3" else 0
        return 0

    def _search_once(self, pattern: re.Pattern[bytes], at: int) -> int | None:
        """As _search; no byte is searched twice for the same pattern."""
        start, found = self._known.get(pattern, (self._end, None))
        if at < start:
            before = self._search(pattern, at, start + _LONGEST_MAGIC)
            self._known[pattern] = at, found if before is None else before
        elif found is not None and found < at:
            self._known[pattern] = at, self._search(pattern, at)
        return self._known[pattern][1] if pattern in self._known else None

    def _search(self, pattern: re.Pattern[bytes], at: int, stop: int | None = None) -> int | None:
        """Return the first match of `pattern` that begins from `at` on and ends before `stop`."""
        stop = min(self._end, stop or self._end)
        while at < stop:
            begin = at - self._chunk_start
            if not 0 <= begin <= len(self._chunk) - _LONGEST_MAGIC:
                self._load(at)
                begin = 0
            found = pattern.search(self._chunk, begin, stop - self._chunk_start)
            if found:
                return self._chunk_start + found.start()
            if len(self._chunk) < _CHUNK:  # it reaches to the end of the file
                return None
            at = self._chunk_start + len(self._chunk) - _LONGEST_MAGIC + 1
        return None

    def _bytes(self, at: int, size: int) -> bytes:
        begin = at - self._chunk_start
        if 0 <= begin <= len(self._chunk) - size:
            return self._chunk[begin : begin + size]
        if 0 <= begin <= len(self._chunk) == _CHUNK:  # the next chunk
            self._load(at)
            return self._chunk[:size]
        self._file.seek(at)
        return self._file.read(size)

    def _load(self, at: int) -> None:
        self._file.seek(at)
        self._chunk, self._chunk_start = self._file.read(_CHUNK), at


def _synchsafe(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]
