"""Read the header of a WAV, RF64, BW64 or W64, and correct what cannot be true.

FFmpeg takes wValidBitsPerSample for the size of a sample, and players ignore nAvgBytesPerSec. Both
are informative only (Microsoft, WAVEFORMATEXTENSIBLE). How wide a sample is stored follows from
most of: the block align, the bits per sample, and the bytes per second.
Sizes: RIFF (IBM and Microsoft 1991), RF64 (EBU Tech 3306), BW64 (ITU-R BS.2088), Wave64 (Sony).
"""

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_SIZES = {0, 0xFFFFFFFF}
_SOX_UNKNOWN = 0x7FFFF000  # what sox writes, less a header
_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_SAMPLE_BITS = (8, 16, 24, 32, 64)
_FLOAT_BITS = (32, 64)
_MAX_CHUNKS = 10_000
_NO_AUDIO = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN", b"RIFF", b"\xff\xd8\xff", b"\x89PNG")
_CHUNKS_BEHIND_AUDIO = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX")


@dataclass(slots=True)
class WavHeader:
    """What a header says. `patches` (offset → bytes) correct what FFmpeg would misread.

    `declared_seconds` is None if the header does not know it. `warnings` tell what was wrong.
    """

    declared_seconds: float | None = None
    valid_bits: int | None = None
    patches: dict[int, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class _Format(NamedTuple):
    at: int
    tag: int
    channels: int
    rate: int
    bytes_per_second: int
    block_align: int
    bits: int
    valid_bits: int
    samples_per_block: int
    is_extensible: bool

    @property
    def is_pcm(self) -> bool:
        return self.tag in (_PCM, _FLOAT) and self.channels > 0

    @property
    def stored_bits(self) -> int | None:
        """How wide a sample is stored: what most of the header's fields say; None if unknown."""
        per_frame = (self.block_align, self.bytes_per_second / max(1, self.rate))
        widths = [8 * size / self.channels for size in per_frame]
        widths.insert(1, (self.bits + 7) // 8 * 8)
        possible = _FLOAT_BITS if self.tag == _FLOAT else _SAMPLE_BITS
        believable = [int(width) for width in widths if width in possible]
        return max(believable, key=believable.count) if believable else None


def read_wav_header(file: BinaryIO) -> WavHeader | None:
    """Read the header; None if the file is no WAV."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and file.seek(8) and file.read(4) == b"WAVE":
        return _read_riff(file, size, head[:4] != b"RIFF")
    if head == _W64_RIFF:
        return _read_w64(file, size)
    return None


def _read_riff(file: BinaryIO, size: int, is_64_bit: bool) -> WavHeader:
    header, format_ = WavHeader(), None
    at, samples, ds64_at, ds64_size = 12, 0, 0, 0
    file.seek(4)
    riff_end = 8 + struct.unpack("<I", file.read(4))[0]
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        name, length = _chunk(file.read(8))
        body = at + 8
        if name == b"ds64" and is_64_bit:
            ds64_at = body
            ds64_size, samples = struct.unpack("<QQ", file.read(24)[8:].ljust(16, b"\0"))
        elif name == b"fmt ":
            format_ = _read_format(file, body, length)
            _correct_bits(format_, header)
        elif name == b"fact" and length >= 4:
            samples = samples or struct.unpack("<I", file.read(4).ljust(4, b"\0"))[0]
        elif name == b"data":
            is_in_ds64 = is_64_bit and length == 0xFFFFFFFF
            announced = ds64_size if is_in_ds64 else length
            if not _is_unknown(announced, size):
                length = _true_length(file, body, announced, size, riff_end)
                header.declared_seconds = _seconds(format_, length, samples)
                _correct_size(header, announced, length, body - 4, ds64_at)
            return header
        elif not name:
            return header
        at = body + length + length % 2
    return header


def _correct_size(header: WavHeader, announced: int, length: int, at: int, ds64_at: int) -> None:
    if length == announced:
        return
    header.patches[at] = b"\xff\xff\xff\xff"
    if ds64_at:
        header.patches[ds64_at + 8] = struct.pack("<Q", length)
    header.warnings.append(
        f"the header announces {announced} bytes of audio, but {length} follow: all are read"
    )


def _is_unknown(length: int, file_size: int) -> bool:
    """Whether `length` is what programs write that stream a WAV."""
    is_sox = length >= 2 * file_size and length >= _SOX_UNKNOWN - 4096
    return length in _UNKNOWN_SIZES or is_sox


def _true_length(file: BinaryIO, body: int, length: int, size: int, riff_end: int) -> int:
    """Return the bytes of audio from `body` on: `length`, or all, if audio goes on behind it.

    If the RIFF chunk ends with the audio, less than it behind that end is a tag or junk.
    """
    end = body + length
    behind = size - end
    if behind <= 0 or _is_followed_by_chunks(file, end + end % 2, size):
        return length
    file.seek(end)
    is_tag = file.read(11).startswith(_NO_AUDIO)
    is_junk = is_tag or (riff_end - end in (0, 1) and behind < length)
    return length if is_junk else size - body


def _seconds(format_: _Format | None, length: int, samples: int) -> float | None:
    """Return the duration of `length` bytes of audio; `samples` is what the header says, or 0."""
    if not format_ or not format_.rate:
        return None
    if format_.is_pcm and format_.stored_bits:
        return 8 * length / format_.stored_bits / format_.channels / format_.rate
    if samples:
        return samples / format_.rate
    if format_.samples_per_block and format_.block_align:
        return length / format_.block_align * format_.samples_per_block / format_.rate
    return None


def _is_followed_by_chunks(file: BinaryIO, at: int, size: int) -> bool:
    """Whether the bytes behind the audio are chunks, or so few that they are padding."""
    for _ in range(_MAX_CHUNKS):
        if size - at <= 8:
            break
        file.seek(at)
        name, length = _chunk(file.read(8))
        if not name.strip() or not name.isascii() or not name.decode().isprintable():
            return size - at < 64 or not any(file.read(min(size - at, 1 << 16)))
        at += 8 + length + length % 2
        if at > size + 1:
            return name in _CHUNKS_BEHIND_AUDIO
    return True


def _read_format(file: BinaryIO, at: int, length: int) -> _Format | None:
    file.seek(at)
    data = file.read(max(0, min(length, 40)))
    if len(data) < 16:
        return None
    tag, channels, rate, bytes_per_second, block_align, bits = struct.unpack("<HHIIHH", data[:16])
    is_extensible = tag == _EXTENSIBLE and len(data) >= 40
    valid_bits, samples_per_block = bits, 0
    if is_extensible:
        valid_bits = struct.unpack("<H", data[18:20])[0] or bits
        tag = struct.unpack("<H", data[24:26])[0]
    elif tag not in (_PCM, _FLOAT) and len(data) >= 20:
        samples_per_block = struct.unpack("<H", data[18:20])[0]
    return _Format(
        *(at, tag, channels, rate, bytes_per_second, block_align, bits, valid_bits),
        *(samples_per_block, is_extensible),
    )


def _correct_bits(format_: _Format | None, header: WavHeader) -> None:
    """Have FFmpeg read samples as wide as they are stored; unused low bits are zeros."""
    if not format_ or not format_.is_pcm or not (stored := format_.stored_bits):
        return
    rounded = (format_.bits + 7) // 8 * 8
    is_known = format_.is_extensible or rounded == stored
    header.valid_bits = min(format_.valid_bits, stored) if is_known else stored
    if format_.is_extensible:
        header.patches[format_.at + 18] = struct.pack("<H", stored)
    block_align = stored // 8 * format_.channels
    if rounded != stored or format_.block_align != block_align:
        header.patches[format_.at + 12] = struct.pack("<HH", block_align & 0xFFFF, stored)
        header.warnings.append(
            f"the header says {format_.bits} bits per sample and {format_.block_align} bytes per "
            f"block, but {stored} bits and {block_align} bytes are stored"
        )


def _chunk(head: bytes) -> tuple[bytes, int]:
    return (head[:4], struct.unpack("<I", head[4:8])[0]) if len(head) == 8 else (b"", 0)


def _read_w64(file: BinaryIO, size: int) -> WavHeader:
    header, at, format_ = WavHeader(), 40, None
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(24)
        if len(head) < 24:
            return header
        name, length = head[:4], struct.unpack("<Q", head[16:24])[0]
        if name == b"fmt ":
            format_ = _read_format(file, at + 24, length - 24)
            _correct_bits(format_, header)
        if name == b"data" and length > 24 and not _is_unknown(length, size):
            header.declared_seconds = _seconds(format_, length - 24, 0)
        if name == b"data" or not 24 <= length <= size:
            return header
        at += (length + 7) // 8 * 8
    return header
