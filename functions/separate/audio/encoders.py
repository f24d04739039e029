"""Encode a stem as MP3, FLAC or WAV, block by block.

Samples are quantized, and clipping is prevented, as demucs.audio.save_audio does (demucs 4.1). The
audio is what demucs itself would write, however the stem is cut into blocks; tags and, in an MP3,
an Info frame come on top.
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

import lameenc
import numpy as np
import numpy.typing as npt
import soundfile

from functions.separate.audio.flac_cover import FlacWithCover
from functions.separate.audio.interleave import interleave
from functions.separate.audio.wav_info import info_list
from functions.separate.engine import SAMPLE_RATE, Floats
from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.flac_metadata import FIELDS
from microdemucs.id3v2 import id3v2
from microdemucs.lame_info import count_frames, frame_rate, info_frame
from microdemucs.options import Options
from microdemucs.problems import Rejected

_CHANNELS = 2


class Encoder(Protocol):
    """Writes one stem into a file. `sample_rate`, in Hz, is known when it is closed."""

    @property
    def sample_rate(self) -> int:
        """The rate of the file in Hz."""

    def write(self, block: Floats) -> None:
        """Encode the next [2, n] samples, within full scale."""

    def close(self) -> None:
        """Write what the encoder still holds. The file stays open."""


def make_encoder(
    options: Options,
    file: BinaryIO,
    length: int,
    mp3_quality: int,
    tags: AudioTags = NO_TAGS,
) -> Encoder:
    """Return an encoder that writes `length` samples to `file`, an empty file with a descriptor.

    `mp3_quality` is LAME's: 0 is best, 9 is fastest. Raises Rejected if the format cannot hold so
    many samples.
    """
    if options.format == "mp3":
        return _Mp3(file, options.bitrate, mp3_quality, length, tags)
    if options.format == "flac":
        return _Flac(file, options.bits, tags)
    return _Wav(file, options.bits, length, tags)


def rescale_divisor(peak: np.float32) -> np.float32:
    """Return what clip_mode `rescale` divides a stem with this peak by; 1 if it does not clip."""
    return max(np.float32(1.01) * peak, np.float32(1))


def prevent_clipping(
    block: Floats, clip_mode: str, divisor: np.float32, *, is_float: bool = False
) -> Floats:
    """Return `block` within full scale, as demucs.audio.prevent_clip and _pcm_bytes do.

    With `is_float` and clip_mode `none` the block is returned as it is: the format can hold it.
    """
    if clip_mode == "rescale" and divisor != 1:
        block = block / divisor
    elif clip_mode == "clamp":
        block = block.clip(-0.99, 0.99)
    elif is_float and clip_mode == "none":
        return block
    return block.clip(-1, 1)


def _pcm(block: Floats, bits: int) -> npt.NDArray[np.int32]:
    """Return [n, 2] integers."""
    return (interleave(block) * np.float32(2 ** (bits - 1) - 1)).astype(np.int32)


class _Mp3:
    """LAME's frames, after a tag and an Info frame, which is complete when the stem is."""

    def __init__(
        self, file: BinaryIO, bitrate: int, quality: int, length: int, tags: AudioTags
    ) -> None:
        self._file = file
        self._length = length
        self._size = 0
        self._header = b""  # of the first frame
        file.write(id3v2(tags))
        self._info_start = file.tell()
        self._lame = lameenc.Encoder()
        self._lame.set_bit_rate(bitrate)
        self._lame.set_in_sample_rate(SAMPLE_RATE)
        self._lame.set_channels(_CHANNELS)
        self._lame.set_quality(quality)
        self._lame.silence()

    @property
    def sample_rate(self) -> int:
        return frame_rate(self._header) if self._header else SAMPLE_RATE

    def write(self, block: Floats) -> None:
        self._append(self._lame.encode(_pcm(block, 16).astype("<i2").tobytes()))

    def close(self) -> None:
        self._append(self._lame.flush())
        if self._header:
            frames = count_frames(self._header, self._size)
            self._file.seek(self._info_start)
            self._file.write(info_frame(self._header, frames, self._size, self._length))
            self._file.seek(0, os.SEEK_END)

    def _append(self, frames: bytes | bytearray) -> None:
        if frames and not self._header:
            self._header = bytes(frames[:4])
            self._file.write(info_frame(self._header, 0, 0, self._length))
        self._file.write(frames)
        self._size += len(frames)


class _Flac:
    sample_rate = SAMPLE_RATE

    def __init__(self, file: BinaryIO, bits: int, tags: AudioTags) -> None:
        self._bits = bits
        # libsndfile closes the descriptor that it is given, so it gets its own
        output = FlacWithCover(file, tags.cover) if tags.cover else os.dup(file.fileno())
        with _map_write_errors():
            self._flac = soundfile.SoundFile(
                output, "w", SAMPLE_RATE, _CHANNELS, subtype=f"PCM_{bits}", format="FLAC"
            )
        for name, text in tags.texts.items():
            setattr(self._flac, FIELDS.get(name, name), text)

    def write(self, block: Floats) -> None:
        with _map_write_errors():  # libsndfile takes the upper bits of an integer
            self._flac.write(_pcm(block, self._bits) << (32 - self._bits))

    def close(self) -> None:
        with _map_write_errors():
            self._flac.close()


@contextmanager
def _map_write_errors() -> Iterator[None]:
    """Map libsndfile's errors to ENOSPC.

    libsndfile does not say which system error occurred; for a temporary file it is a full disk.
    """
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise OSError(errno.ENOSPC, "a stem could not be written") from error


class _Wav:
    """The header of demucs.audio.encode_wav, a LIST chunk with the tags, then the samples."""

    sample_rate = SAMPLE_RATE

    def __init__(self, file: BinaryIO, bits: int, length: int, tags: AudioTags) -> None:
        self._file = file
        self._bits = bits
        width = _CHANNELS * bits // 8
        tag = 3 if bits == 32 else 1  # IEEE float, or integers
        fmt = struct.pack("<HHIIHH", tag, _CHANNELS, SAMPLE_RATE, SAMPLE_RATE * width, width, bits)
        chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt
        if bits == 32:
            chunks += b"fact" + struct.pack("<II", 4, length)
        chunks += info_list(tags)
        size = 4 + len(chunks) + 8 + length * width
        if size >= 2**32:
            raise Rejected(
                "too-long",
                "The song is too long",
                "a WAV file of it would exceed 4 GiB; choose the format flac",
            )
        file.write(b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks)
        file.write(b"data" + struct.pack("<I", length * width))

    def write(self, block: Floats) -> None:
        self._file.write(_samples(block, self._bits))

    def close(self) -> None:
        """Write nothing: the samples are the end of the file."""


def _samples(block: Floats, bits: int) -> bytes:
    if bits == 32:
        return interleave(block).astype("<f4").tobytes()
    if bits == 16:
        return _pcm(block, 16).astype("<i2").tobytes()
    return _pcm(block, 24).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
