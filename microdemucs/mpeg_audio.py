"""The header of an MPEG audio frame (ISO/IEC 11172-3 and 13818-3, section 2.4.1)."""

from typing import NamedTuple

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
MPEG_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by whether it is MPEG-1 and the layer; in a header, the index of the first is 1."""


class Frame(NamedTuple):
    """One frame: its size in bytes, its duration in s, and what neighbours must share."""

    size: int
    seconds: float
    stream: tuple[int, int, int]


def read_mpeg_header(data: bytes) -> Frame | None:
    """Read the header of an MPEG audio frame; None if these bytes are none, or a free format."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    bits, rate_index, padding = data[2] >> 4, data[2] >> 2 & 3, data[2] >> 1 & 1
    if version == 1 or layer == 4 or not 0 < bits < 15 or rate_index == 3:
        return None
    rate, is_mpeg1 = _RATES[version][rate_index], version == 3
    bitrate = 1000 * MPEG_KBITS[is_mpeg1, layer][bits - 1]
    if layer == 1:
        samples, size = 384, (12 * bitrate // rate + padding) * 4
    else:
        samples = 1152 if is_mpeg1 or layer == 2 else 576
        size = samples // 8 * bitrate // rate + padding
    return Frame(size, samples / rate, (version, layer, rate))
