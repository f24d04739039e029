"""Files with something beside the audio, or with a header that is not true."""

import struct

import numpy as np

from functions.separate.engine import Floats
from microdemucs.mpeg_audio import read_mpeg_header

_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def noise(size: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def picture(size: int) -> bytes:
    """Bytes that begin as a PNG."""
    return b"\x89PNG\r\n\x1a\n" + noise(size)


def fake_frames(mp3: bytes, count: int) -> bytes:
    """Frames with real headers, and noise for audio: they decode to impossible samples."""
    at = frame_start(mp3)
    frame = read_mpeg_header(mp3[at : at + 8])
    assert frame
    return b"".join(mp3[at : at + 4] + noise(frame.size - 4, seed) for seed in range(count))


def frame_start(mp3: bytes) -> int:
    """Where the first frame behind an ID3v2 tag is."""
    if not mp3.startswith(b"ID3"):
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=True))


def id3v1() -> bytes:
    return b"TAG".ljust(128, b" ")


def _synchsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))


def id3v2(body: bytes, *, footer: bool = False) -> bytes:
    """An ID3v2.4 tag with one cover."""
    frame = b"APIC" + _synchsafe(len(body) + 14) + b"\0\0" + b"\0image/png\0\x03\0\0" + body
    size = _synchsafe(len(frame))
    flags = b"\x10" if footer else b"\0"
    tag = b"ID3\x04\0" + flags + size + frame
    return tag + b"3DI\x04\0" + flags + size if footer else tag


def id3v2_title(encoding: int, text: bytes) -> bytes:
    """An ID3v2.3 tag with a title, `encoding` as in its section 3.3."""
    frame = b"TIT2" + struct.pack(">I", len(text) + 1) + b"\0\0" + bytes([encoding]) + text
    return b"ID3\x03\0\0" + _synchsafe(len(frame)) + frame


def ape(body: bytes, *, version: int = 2000, header: bool = True) -> bytes:
    """An APE tag with one cover; version 1 has no header."""
    value = b"cover.png\0" + body
    item = struct.pack("<II", len(value), 2) + b"Cover Art (Front)\0" + value
    size = len(item) + 32
    flags = 1 << 31 if header else 0
    footer = b"APETAGEX" + struct.pack("<IIII", version, size, 1, flags) + bytes(8)
    head = b"APETAGEX" + struct.pack("<IIII", version, size, 1, flags | 1 << 29) + bytes(8)
    return (head if header else b"") + item + footer


def lyrics3(text: bytes) -> bytes:
    """A Lyrics3v2 tag."""
    body = b"LYRICSBEGIN" + b"LYR" + b"%05d" % min(len(text), 99_999) + text
    return body + b"%06dLYRICS200" % len(body)


def wav_of_width(samples: Floats, valid: int, stored: int, rate: int = 44_100) -> bytes:
    """A WAVE_FORMAT_EXTENSIBLE file with `valid` bits, the upper ones of `stored`."""
    channels = samples.shape[1]
    upper = (samples.astype(np.float64) * (2 ** (valid - 1) - 1)).astype("<i8") << (stored - valid)
    width = stored // 8
    data = upper.reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    frame = width * channels
    fmt = struct.pack("<HHIIHH", 0xFFFE, channels, rate, rate * frame, frame, stored)
    fmt += struct.pack("<HHI", 22, valid, 3) + _PCM_GUID
    return wav(fmt, data)


def wav(fmt: bytes, data: bytes, *, riff_size: int | None = None) -> bytes:
    chunks = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", riff_size or len(chunks)) + chunks


def bw64(fmt: bytes, data: bytes, magic: bytes = b"BW64") -> bytes:
    """A file whose sizes are in a ds64 chunk."""
    ds64 = struct.pack("<QQQI", 4 + 36 + 8 + len(fmt) + 8 + len(data), len(data), 0, 0)
    chunks = b"WAVEds64" + struct.pack("<I", len(ds64)) + ds64
    chunks += b"fmt " + struct.pack("<I", len(fmt)) + fmt
    return magic + b"\xff" * 4 + chunks + b"data" + b"\xff" * 4 + data


def _descriptor(tag: int, body: bytes) -> bytes:
    """A descriptor of MPEG-4 (ISO/IEC 14496-1, 8.3.3), its length as Apple writes it."""
    return bytes([tag, 0x80, 0x80, 0x80, len(body)]) + body


def caf_aac(adts: bytes, length: int, rate: int = 44_100, channels: int = 2) -> bytes:
    """The frames of an ADTS stream as Apple's programs store them in a CAF.

    `length` samples follow 1,024 that the encoder added.
    """
    frames, at = [], 0
    while at < len(adts):
        size = (adts[at + 3] & 3) << 11 | adts[at + 4] << 3 | adts[at + 5] >> 5
        frames.append(adts[at + 7 : at + size])
        at += size
    index = adts[2] >> 2 & 15
    config = (2 << 11 | index << 7 | channels << 3).to_bytes(2, "big")  # AAC-LC
    decoder = _descriptor(4, b"\x40\x15" + bytes(11) + _descriptor(5, config))
    cookie = _descriptor(3, bytes(3) + decoder + _descriptor(6, b"\x02"))
    sizes = b"".join(bytes([len(frame) >> 7 | 0x80, len(frame) & 0x7F]) for frame in frames)
    rest = 1024 * (len(frames) - 1) - length
    table = struct.pack(">QQII", len(frames), length, 1024, rest) + sizes
    description = struct.pack(">d4sIIIII", rate, b"aac ", 2, 0, 1024, channels, 0)
    chunks = {b"desc": description, b"kuki": cookie, b"pakt": table}
    chunks[b"data"] = bytes(4) + b"".join(frames)
    body = b"".join(name + struct.pack(">Q", len(data)) + data for name, data in chunks.items())
    return b"caff" + struct.pack(">HH", 1, 0) + body


def free_format_mp3(constant: bytes, size: int) -> bytes:
    """An MP3 whose frames all have `size` bytes, without its bit rate in the headers."""
    free = bytearray(constant)
    for at in range(2, len(free), size):
        free[at] &= 0x0F
    return bytes(free)


def with_packet_size(mp4: bytes, number: int, size: int) -> bytes:
    """Write another size of one packet into an MP4's table of sizes (ISO/IEC 14496-12, 8.7.3)."""
    table = mp4.rindex(b"stsz") + 16
    start = table + 4 * number
    return mp4[:start] + struct.pack(">I", size) + mp4[start + 4 :]
