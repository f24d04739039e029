"""The Info frame of a CBR MP3 with LAME's extension: players cut the encoder's padding by it.

Layout: the Xing header and the "mp3 Info Tag" of LAME (gabriel.mp3-tech.org/mp3infotag.html).
"""

import struct

from functions.separate.audio.frame_scan import read_mpeg_header
from functions.separate.engine import SAMPLE_RATE

ENCODER_DELAY = 576
"""Samples that LAME 3.100 puts before the first one; a decoder adds 529."""
_SAMPLES_PER_FRAME = 1152
_SIDE_INFORMATION = 32  # bytes, of MPEG-1 stereo
_SIZE = 4 + _SIDE_INFORMATION + 120 + 36
_FRAMES, _BYTES, _TOC, _QUALITY = 1, 2, 4, 8
_VERSION = b"LAME3.100"
_CBR = 1
_BITRATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s


def can_have_info(header: bytes) -> bool:
    """Whether a file with this frame `header` is MPEG-1 at 44.1 kHz, with frames large enough.

    LAME resamples at low bit rates, and then its delay is another.
    """
    frame = read_mpeg_header(header)
    return bool(frame and frame.stream == (3, 3, SAMPLE_RATE) and frame.size >= _SIZE)


def count_frames(header: bytes, size: int) -> int:
    """How many frames `size` bytes have; their sizes differ by a byte so that the mean is exact."""
    return round(size * SAMPLE_RATE / (144_000 * _kbits(header)))


def info_frame(header: bytes, frames: int, size: int, length: int) -> bytes:
    """Return the frame for an MPEG-1 stereo file with this first frame `header` (4 bytes).

    `frames` and `size` (bytes) are those of the audio frames, `length` the samples that were
    encoded. It has the same bit rate, no checksum, and no padding.
    """
    header = bytes([header[0], header[1] | 1, header[2] & ~2, header[3] & 0xCF])
    frame_size = 144_000 * _kbits(header) // SAMPLE_RATE
    total = size + frame_size
    padding = max(0, frames * _SAMPLES_PER_FRAME - ENCODER_DELAY - length)
    xing = b"Info" + struct.pack(">III", _FRAMES | _BYTES | _TOC | _QUALITY, frames, total)
    xing += bytes(index * 256 // 100 for index in range(100)) + struct.pack(">I", 0)
    lame = _VERSION + bytes([_CBR, 0]) + bytes(8) + bytes([0, min(255, _kbits(header))])
    lame += struct.pack(">I", ENCODER_DELAY << 12 | min(padding, 0xFFF))[1:]
    lame += bytes(4) + struct.pack(">IH", total, 0)
    body = header + bytes(_SIDE_INFORMATION) + xing + lame
    return (body + struct.pack(">H", _crc(body))).ljust(frame_size, b"\0")


def _kbits(header: bytes) -> int:
    return _BITRATES[header[2] >> 4]


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
