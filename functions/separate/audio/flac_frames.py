"""Split a stretch of FLAC into its frames (RFC 9639, section 9.1).

FFmpeg hands on damaged frames together with those around them: decoded one by one, only the damaged
ones are lost.
"""

import re
from collections.abc import Iterator

_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_LONGEST_HEADER = 16


def split_frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each frame and its number of samples; what is in front of the first is left out."""
    starts = [
        (found.start(), samples)
        for found in _SYNC.finditer(data)
        if (samples := _samples(data[found.start() : found.start() + _LONGEST_HEADER]))
    ]
    stops = [*(start for start, _ in starts[1:]), len(data)] if starts else []
    for (start, samples), stop in zip(starts, stops, strict=True):
        yield data[start:stop], samples


def _samples(header: bytes) -> int | None:
    """Return the samples of the frame with this `header`; None if its checksum is wrong."""
    if len(header) < _LONGEST_HEADER:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    number_bytes = max(1, 8 - (header[4] ^ 0xFF).bit_length())
    at = 4 + number_bytes
    samples = 192 if size_code == 1 else 144 << size_code if size_code <= 5 else 1 << size_code
    if size_code in (6, 7):
        stop = at + size_code - 5
        samples, at = int.from_bytes(header[at:stop], "big") + 1, stop
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    return samples if size_code and _crc(header[:at]) == header[at] else None


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x107 if crc & 0x80 else 0)) & 0xFF
    return crc
