"""Decode one stem as it arrives, block by block."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame
from av.error import EOFError as EndOfStream

from functions.upload.encoding.task import STEM_RATE
from microdemucs.lame_info import read_length

_CODECS = {"mp3": "mp3float,mp3", "flac": "flac", "wav": "pcm_s16le,pcm_s24le,pcm_f32le"}
"""FFmpeg's decoders of what separate writes."""

_ID3_HEAD_BYTES = 10
_MAX_TAG_BYTES = 1 << 20
_HEAD_BYTES = 1 << 16  # of a WAV's chunks with tags, or of an MP3's first frame


class UnreadableStem(ValueError):
    """The object is not what its name says; the text says why."""


class StemSource:
    """A stem. `length` is how many samples it has at STEM_RATE; None if it does not say."""

    def __init__(self, file: BinaryIO, format_: str) -> None:
        head = _read_head(file)
        try:
            # FFmpeg must not take a hand-made object for a playlist, or for a rare codec.
            self._container = av.open(
                _Rejoined(head, file),
                "r",
                format=format_,
                options={"codec_whitelist": _CODECS[format_]},
            )
            [self._stream] = self._container.streams.audio
            codec = self._stream.codec_context.name
            if codec not in _CODECS[format_].split(","):
                raise ValueError(f"its codec is {codec}")
        except (av.FFmpegError, ValueError) as error:
            raise UnreadableStem(f"it cannot be opened as {format_}: {error}") from error
        self.length = self._read_length(head)

    def frames(self) -> Iterator[AudioFrame]:
        """Yield the decoded frames; their times count from 0, whatever the file says."""
        position = 0
        try:
            for frame in self._container.decode(self._stream):
                frame.pts = position
                frame.time_base = Fraction(1, frame.sample_rate)
                position += frame.samples
                yield frame
        except EndOfStream:
            pass
        except av.FFmpegError as error:
            raise UnreadableStem(f"it cannot be decoded: {error}") from error
        if not position:
            raise UnreadableStem("it has no samples")

    def _read_length(self, head: bytes) -> int | None:
        stream, rate = self._stream, self._stream.sample_rate
        match self._container.format.name:
            case "mp3":
                length = read_length(head[_tag_bytes(head) :])
            case "wav":
                length = _wav_length(head)
            case _:
                length = stream.duration  # the time base is one sample
        return round(length * STEM_RATE / rate) if length and rate else None


class _Rejoined:
    """A file of which `head` has been read already. It cannot seek."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def read(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._file.read(size)


def _read_head(file: BinaryIO) -> bytes:
    """Return a tag that may begin the file, and what follows it."""
    head = file.read(_ID3_HEAD_BYTES)
    return head + file.read(max(0, _tag_bytes(head) - len(head)) + _HEAD_BYTES)


def _tag_bytes(head: bytes) -> int:
    """Return the size of the ID3v2 tag that begins a file; 0 if there is none."""
    if not head.startswith(b"ID3") or len(head) < _ID3_HEAD_BYTES:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return min(_ID3_HEAD_BYTES + size, _MAX_TAG_BYTES)


def _wav_length(head: bytes) -> int | None:
    """Return how many samples the header of a WAV announces; None if it does not."""
    position, frame_bytes = 12, 0
    while position + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, position)
        if name == b"fmt " and position + 22 <= len(head):
            [frame_bytes] = struct.unpack_from("<H", head, position + 20)
        if name == b"data":
            return size // frame_bytes if frame_bytes else None
        position += 8 + size + size % 2
    return None
