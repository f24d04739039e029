"""From samples on disk to an MP3, FLAC or WAV, block by block.

Samples are quantised, and clipping prevented, as demucs.audio.save_audio does it (demucs 4.1),
so that a file holds what demucs itself would have written.
"""

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import lameenc
import numpy as np
import numpy.typing as npt
import soundfile

from functions.separate.engine import SAMPLE_RATE, Floats
from functions.separate.spool import Spool
from microdemucs.options import Options
from microdemucs.problems import Refused

CONTENT_TYPES = {"mp3": "audio/mpeg", "flac": "audio/flac", "wav": "audio/wav"}
_BLOCK = 1 << 17  # samples
_CHANNELS = 2


def encode(
    stem: Spool,
    options: Options,
    into: BinaryIO,
    check: Callable[[float], None],
    mp3_quality: int = 2,
) -> None:
    """Write `stem` into an empty file as `options` have it.

    `mp3_quality` is LAME's, 2 (best) to 7 (fastest). `check(share)` is called before each block.
    """
    blocks = _blocks(stem, options.clip_mode, check)
    if options.format == "mp3":
        _mp3(blocks, into, options.bitrate, mp3_quality)
    elif options.format == "flac":
        _flac(blocks, into, options.bits)
    else:
        _wav(blocks, into, options.bits, stem.length)


def _blocks(stem: Spool, clip_mode: str, check: Callable[[float], None]) -> Iterator[Floats]:
    """[n, 2] each, within full scale (demucs.audio.prevent_clip, then _pcm_bytes' clamp)."""
    scale = max(np.float32(1.01) * stem.peak, np.float32(1))
    for start in range(0, stem.length, _BLOCK):
        check(start / stem.length)
        block = stem.read(start, min(start + _BLOCK, stem.length))
        if clip_mode == "rescale":
            block /= scale
        elif clip_mode == "clamp":
            block.clip(-0.99, 0.99, out=block)
        yield np.ascontiguousarray(block.clip(-1, 1, out=block).T)


def _pcm(block: Floats, bits: int) -> npt.NDArray[np.int32]:
    return (block * np.float32(2 ** (bits - 1) - 1)).astype(np.int32)


def _mp3(blocks: Iterator[Floats], into: BinaryIO, bitrate: int, quality: int) -> None:
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(bitrate)
    encoder.set_in_sample_rate(SAMPLE_RATE)
    encoder.set_channels(_CHANNELS)
    encoder.set_quality(quality)
    encoder.silence()
    for block in blocks:
        into.write(encoder.encode(_pcm(block, 16).astype("<i2").tobytes()))
    into.write(encoder.flush())


def _flac(blocks: Iterator[Floats], into: BinaryIO, bits: int) -> None:
    with soundfile.SoundFile(
        into, "w", SAMPLE_RATE, _CHANNELS, subtype=f"PCM_{bits}", format="FLAC"
    ) as file:
        for block in blocks:  # libsndfile takes the upper bits of an integer
            file.write(_pcm(block, bits) << (32 - bits))


def _wav(blocks: Iterator[Floats], into: BinaryIO, bits: int, length: int) -> None:
    """The header that demucs.audio.encode_wav writes, then the samples."""
    width = _CHANNELS * bits // 8
    tag = 3 if bits == 32 else 1  # IEEE float, or integers
    fmt = struct.pack("<HHIIHH", tag, _CHANNELS, SAMPLE_RATE, SAMPLE_RATE * width, width, bits)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt
    if bits == 32:
        chunks += b"fact" + struct.pack("<II", 4, length)
    size = 4 + len(chunks) + 8 + length * width
    if size >= 2**32:
        raise Refused("too-long", "The song is too long", "a WAV of it exceeds 4 GiB; take flac")
    into.write(b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks)
    into.write(b"data" + struct.pack("<I", length * width))
    for block in blocks:
        into.write(_samples(block, bits))


def _samples(block: Floats, bits: int) -> bytes:
    if bits == 32:
        return block.astype("<f4").tobytes()
    if bits == 16:
        return _pcm(block, 16).astype("<i2").tobytes()
    return _pcm(block, 24).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
