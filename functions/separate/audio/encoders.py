"""From samples to an MP3, FLAC or WAV, block by block.

Samples are quantised, and clipping prevented, as demucs.audio.save_audio does it (demucs 4.1),
so that a file holds what demucs itself would have written, whatever blocks it came in.
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

from functions.separate.engine import SAMPLE_RATE, Floats
from microdemucs.options import Options
from microdemucs.problems import Rejected

_CHANNELS = 2


class Encoder(Protocol):
    """Writes one stem into a file."""

    def write(self, block: Floats) -> None:
        """[2, n] more, within full scale."""

    def close(self) -> None:
        """Write what is left. The file itself stays open."""


def encoder(options: Options, into: BinaryIO, length: int, mp3_quality: int) -> Encoder:
    """What writes `length` samples into an empty file (a real one) as `options` have it.

    `mp3_quality` is LAME's, 2 (best) to 7 (fastest). Raises Rejected where the format cannot hold
    so much.
    """
    if options.format == "mp3":
        return _Mp3(into, options.bitrate, mp3_quality)
    if options.format == "flac":
        return _Flac(into, options.bits)
    return _Wav(into, options.bits, length)


def scale_of(peak: np.float32) -> np.float32:
    """By what clip_mode `rescale` divides a stem with this peak; 1 where it leaves it alone."""
    return max(np.float32(1.01) * peak, np.float32(1))


def fitted(block: Floats, clip_mode: str, scale: np.float32) -> Floats:
    """`block` within full scale (demucs.audio.prevent_clip, then _pcm_bytes' clamp)."""
    if clip_mode == "rescale" and scale != 1:
        block = block / scale
    elif clip_mode == "clamp":
        block = block.clip(-0.99, 0.99)
    return block.clip(-1, 1)


def _pcm(block: Floats, bits: int) -> npt.NDArray[np.int32]:
    """[n, 2]"""
    return (block.T * np.float32(2 ** (bits - 1) - 1)).astype(np.int32, order="C")


class _Mp3:
    def __init__(self, into: BinaryIO, bitrate: int, quality: int) -> None:
        self._into = into
        self._lame = lameenc.Encoder()
        self._lame.set_bit_rate(bitrate)
        self._lame.set_in_sample_rate(SAMPLE_RATE)
        self._lame.set_channels(_CHANNELS)
        self._lame.set_quality(quality)
        self._lame.silence()

    def write(self, block: Floats) -> None:
        self._into.write(self._lame.encode(_pcm(block, 16).astype("<i2").tobytes()))

    def close(self) -> None:
        self._into.write(self._lame.flush())


class _Flac:
    def __init__(self, into: BinaryIO, bits: int) -> None:
        self._bits = bits
        # a descriptor of its own: it is then closed by whoever comes last
        own = os.dup(into.fileno())
        self._file = soundfile.SoundFile(
            own, "w", SAMPLE_RATE, _CHANNELS, subtype=f"PCM_{bits}", format="FLAC"
        )

    def write(self, block: Floats) -> None:
        with _full_disk():  # libsndfile takes the upper bits of an integer
            self._file.write(_pcm(block, self._bits) << (32 - self._bits))

    def close(self) -> None:
        with _full_disk():
            self._file.close()


@contextmanager
def _full_disk() -> Iterator[None]:
    """libsndfile says of no error of the system which it is; of a file, it can be one only."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise OSError(errno.ENOSPC, "a stem could not be written") from error


class _Wav:
    """The header that demucs.audio.encode_wav writes, then the samples."""

    def __init__(self, into: BinaryIO, bits: int, length: int) -> None:
        self._into = into
        self._bits = bits
        width = _CHANNELS * bits // 8
        tag = 3 if bits == 32 else 1  # IEEE float, or integers
        fmt = struct.pack("<HHIIHH", tag, _CHANNELS, SAMPLE_RATE, SAMPLE_RATE * width, width, bits)
        chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt
        if bits == 32:
            chunks += b"fact" + struct.pack("<II", 4, length)
        size = 4 + len(chunks) + 8 + length * width
        if size >= 2**32:
            raise Rejected(
                "too-long", "The song is too long", "a WAV of it exceeds 4 GiB; take flac"
            )
        into.write(b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks)
        into.write(b"data" + struct.pack("<I", length * width))

    def write(self, block: Floats) -> None:
        self._into.write(_samples(block, self._bits))

    def close(self) -> None:
        """Nothing comes after the samples."""


def _samples(block: Floats, bits: int) -> bytes:
    if bits == 32:
        return block.T.astype("<f4").tobytes()
    if bits == 16:
        return _pcm(block, 16).astype("<i2").tobytes()
    return _pcm(block, 24).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
