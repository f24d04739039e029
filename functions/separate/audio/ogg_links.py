"""Find the links of a chained Ogg file (RFC 3533, section 4): each is a song of its own.

FFmpeg stops where a later link has another number of channels or another rate. Decoded one by one,
the links are one song.
"""

import struct
import zlib
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct("<4sBBqIIIB")
_CHECKSUM = slice(22, 26)
MAX_PAGE_BYTES = 65_307
_BEGINS, _ENDS = 0x02, 0x04
_CHUNK = 1 << 20
_LONGEST_GAP = 1 << 20  # pages
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggLinks(NamedTuple):
    """Where the links are: bytes [start, stop), in order, without what follows the last page.

    `missing_share` is the share of the pages that are lost or damaged, 0 to 1. `is_cut` tells
    whether the last page is not the one that ends a stream.
    """

    links: list[tuple[int, int]]
    missing_share: float
    is_cut: bool


class _Page(NamedTuple):
    flags: int
    serial: int
    sequence: int
    size: int


def find_links(file: BinaryIO) -> OggLinks | None:
    """Return the links of an Ogg file; None if the file is no Ogg."""
    size = file.seek(0, 2)
    starts: list[int] = []
    expected: dict[int, int] = {}  # the next sequence number, by the stream's serial number
    at = stop = pages = missing = 0
    is_in_headers, is_cut = False, True
    while at < size:
        page = _read_page(file, at)
        if page is None:
            following = _next_magic(file, at + 1)
            if following is None:
                break
            at = following
            continue
        if page.flags & _BEGINS:
            if not is_in_headers:
                starts.append(at)
                expected.clear()
        elif page.serial in expected:
            gap = page.sequence - expected[page.serial]
            missing += max(0, min(gap, _LONGEST_GAP))
        elif starts:  # the page that begins its stream is lost
            missing += 1
        is_in_headers = bool(page.flags & _BEGINS)
        expected[page.serial] = page.sequence + 1
        is_cut = not page.flags & _ENDS
        pages += 1
        at = stop = at + page.size
    if not starts:
        return None
    links = list(zip(starts, [*starts[1:], stop], strict=True))
    return OggLinks(links, missing / (missing + pages), is_cut)


def _read_page(file: BinaryIO, at: int) -> _Page | None:
    """Return the page at `at`; None if there is none, or its checksum differs."""
    file.seek(at)
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size or head[:5] != b"OggS\0":
        return None
    _, _, flags, _, serial, sequence, checksum, segments = _HEADER.unpack(head)
    lengths = file.read(segments)
    body = file.read(sum(lengths))
    page = head[: _CHECKSUM.start] + bytes(4) + head[_CHECKSUM.stop :] + lengths + body
    size = _HEADER.size + segments + sum(lengths)
    if len(page) < size or _crc(page) != checksum:
        return None
    return _Page(flags, serial, sequence, size)


def _crc(page: bytes) -> int:
    """RFC 3533's checksum: zlib's polynomial, but with the highest bit first, and no inversion."""
    crc = ~zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) & 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


def _next_magic(file: BinaryIO, at: int) -> int | None:
    file.seek(at)
    while len(data := file.read(_CHUNK)) > 4:
        found = data.find(b"OggS\0")
        if found >= 0:
            return at + found
        at += len(data) - 4
        file.seek(at)
    return None
