"""Encode a mix as a stream: bytes that are written never change, so they can be sent at once.

Nothing is written before the first samples are encoded: until then the response can be an error.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from functions.upload.encoding.task import STEM_RATE
from microdemucs.audio_tags import AudioTags
from microdemucs.flac_metadata import (
    PICTURE,
    VORBIS_COMMENT,
    comment_body,
    metadata_block,
    picture_body,
)
from microdemucs.id3v2 import id3v2
from microdemucs.lame_info import ENCODER_DELAY, info_frame

MP3_BITRATE = 320_000
_LAME_QUALITY = "7"  # as stems of this bit rate have by default; 5 takes twice the time
_MP3_FRAME = 1152  # samples
_STREAMINFO, _STREAMINFO_BYTES = 0, 34


def write_mp3(
    blocks: Iterable[AudioFrame], length: int | None, tags: AudioTags, output: BinaryIO
) -> None:
    """Write an MP3 of 320 kbit/s, with an Info frame if the `length` in samples is known."""
    encoder = _encoder("libmp3lame", "s16p", MP3_BITRATE)
    encoder.options = {"compression_level": _LAME_QUALITY}
    packets = _packets(encoder, blocks)
    first = next(packets, b"")
    output.write(id3v2(tags))
    if length:
        frames = count_frames(length)
        size = frames * _MP3_FRAME * MP3_BITRATE // (8 * STEM_RATE)
        output.write(info_frame(first[:4], frames, size, length))
    output.writelines(chain([first], packets))


def write_flac(
    blocks: Iterable[AudioFrame],
    length: int | None,
    bits: int,
    tags: AudioTags,
    output: BinaryIO,
) -> None:
    """Write a FLAC of 16 or 24 bits; its header says the `length` in samples if it is known."""
    encoder = _encoder("flac", "s16" if bits == 16 else "s32", 0)
    encoder.options = {"bits_per_raw_sample": "24"} if bits != 16 else {}
    encoder.open()
    info = bytearray(encoder.extradata or b"")
    assert len(info) == _STREAMINFO_BYTES
    fields = int.from_bytes(info[10:18], "big")  # the last 36 bits: RFC 9639, section 8.2
    info[10:18] = (fields | (length or 0) & (1 << 36) - 1).to_bytes(8, "big")
    metadata = [(_STREAMINFO, bytes(info)), (VORBIS_COMMENT, comment_body(tags))]
    if tags.cover:
        metadata.append((PICTURE, picture_body(tags.cover)))
    packets = _packets(encoder, blocks)
    first = next(packets, b"")
    output.write(b"fLaC")
    for number, (kind, body) in enumerate(metadata, 1):
        output.write(metadata_block(kind, body, is_last=number == len(metadata)))
    output.writelines(chain([first], packets))


def count_frames(length: int) -> int:
    """Return how many frames LAME makes of so many samples (lame_encode_flush)."""
    samples = length + ENCODER_DELAY
    padding = _MP3_FRAME - samples % _MP3_FRAME
    if padding < ENCODER_DELAY:
        padding += _MP3_FRAME
    return (samples + padding) // _MP3_FRAME


def _encoder(codec: str, sample_format: str, bitrate: int) -> AudioCodecContext:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate = STEM_RATE
    encoder.format = sample_format
    encoder.layout = "stereo"
    if bitrate:
        encoder.bit_rate = bitrate
    return encoder


def _packets(encoder: AudioCodecContext, blocks: Iterable[AudioFrame]) -> Iterator[bytes]:
    for block in blocks:
        for packet in encoder.encode(block):
            yield bytes(packet)
    for packet in encoder.encode(None):
        yield bytes(packet)
