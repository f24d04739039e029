"""The Info frame of a CBR MP3 with LAME's extension: players cut the encoder's padding by it.

Layout: the Xing header and the "mp3 Info Tag" of LAME (gabriel.mp3-tech.org/mp3infotag.html).
"""

import struct

from microdemucs.mpeg_audio import MPEG_KBITS, Frame, read_mpeg_header

ENCODER_DELAY = 576
"""Samples that LAME 3.100 puts before the first one, also if it resamples; a decoder adds 529."""
_STEM_RATE = 44_100  # of what is encoded
_TAG_BYTES = 120 + 36  # Xing's header and LAME's
_FRAMES, _BYTES, _TOC, _QUALITY = 1, 2, 4, 8
_VERSION = b"LAME3.100"
_CBR = 1


def frame_rate(header: bytes) -> int:
    """Return the sample rate in Hz: LAME resamples at low bit rates."""
    return _frame_of(header).stream[2]


def count_frames(header: bytes, size: int) -> int:
    """How many frames `size` bytes have; their sizes differ by a byte so that the mean is exact."""
    return round(size / (_frame_of(header).seconds * _kbits(header) * 125))


def info_frame(header: bytes, frames: int, size: int, length: int) -> bytes:
    """Return the frame for a stereo file of layer III with this first frame `header` (4 bytes).

    `frames` and `size` (bytes) are those of the audio frames, `length` the samples at 44.1 kHz that
    were encoded. It has no checksum, no padding, and the same bit rate unless it is too large for a
    frame of that.
    """
    side_information = 32 if _is_mpeg_1(header) else 17  # bytes
    least = 4 + side_information + _TAG_BYTES
    sized = (_with_bitrate(header, index) for index in range(header[2] >> 4, 15))
    info_header = next(sized_ for sized_ in sized if _frame_of(sized_).size >= least)
    frame = _frame_of(info_header)
    total = size + frame.size
    samples_per_frame = 1152 if _is_mpeg_1(header) else 576
    encoded = max(1, round(length * frame.stream[2] / _STEM_RATE))
    padding = max(0, frames * samples_per_frame - ENCODER_DELAY - encoded)
    xing = b"Info" + struct.pack(">III", _FRAMES | _BYTES | _TOC | _QUALITY, frames, total)
    xing += bytes(index * 256 // 100 for index in range(100)) + struct.pack(">I", 0)
    lame = _VERSION + bytes([_CBR, 0]) + bytes(8) + bytes([0, min(255, _kbits(header))])
    lame += struct.pack(">I", ENCODER_DELAY << 12 | min(padding, 0xFFF))[1:]
    lame += bytes(4) + struct.pack(">IH", total, 0)
    body = info_header + bytes(side_information) + xing + lame
    return (body + struct.pack(">H", _crc(body))).ljust(frame.size, b"\0")


def read_length(frame: bytes) -> int | None:
    """Return how many samples, at the file's rate, the file has that begins with this Info frame.

    None if `frame`, the file's first one, is none that says it.
    """
    header = read_mpeg_header(frame)
    if not header or header.stream[1] != 3:
        return None
    start = 4 + (32 if _is_mpeg_1(frame) else 17)
    tag = frame[start : start + _TAG_BYTES]
    if len(tag) < _TAG_BYTES or tag[:4] not in (b"Info", b"Xing") or not tag[7] & _FRAMES:
        return None
    frames = int.from_bytes(tag[8:12], "big")
    delay, padding = divmod(int.from_bytes(tag[120 + 21 : 120 + 24], "big"), 1 << 12)
    length = frames * (1152 if _is_mpeg_1(frame) else 576) - delay - padding
    return length if length > 0 else None


def _with_bitrate(header: bytes, index: int) -> bytes:
    """Return `header` with another bit rate, without a checksum and padding, in plain stereo."""
    third = index << 4 | header[2] & 0x0C | header[2] & 1
    return bytes([header[0], header[1] | 1, third, header[3] & 0xCF])


def _frame_of(header: bytes) -> Frame:
    frame = read_mpeg_header(header)
    if not frame or frame.stream[1] != 3:
        raise ValueError(f"{header.hex()} is no header of an MP3 frame")
    return frame


def _is_mpeg_1(header: bytes) -> bool:
    return header[1] >> 3 & 3 == 3


def _kbits(header: bytes) -> int:
    return MPEG_KBITS[_is_mpeg_1(header), 3][(header[2] >> 4) - 1]


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
