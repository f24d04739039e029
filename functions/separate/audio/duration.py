"""How long a file says it is, where its word can be relied on: so that a truncated one is known.

Only headers written when the audio was complete count: the data chunk of a WAV, the Xing or Info
frame of an MP3, FLAC's STREAMINFO and an MP4's tables. Raw AAC, Ogg and an MP3 without that frame
say nothing, or guess.
"""

import struct
from pathlib import Path
from typing import BinaryIO

# MPEG audio, ISO/IEC 11172-3 and 13818-3, layer III: Hz by version bits and index
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def seconds(path: Path | str, container: str, of_tables: float | None) -> float | None:
    """The declared length in s, or None where nothing reliable is said.

    `container` is FFmpeg's name of it, `of_tables` what FFmpeg took for the length.
    """
    if container == "flac" or "mp4" in container:
        return of_tables
    with open(path, "rb") as file:
        if container == "wav":
            return _of_wav(file)
        if container == "mp3":
            return _of_mp3(file)
    return None


def _of_wav(file: BinaryIO) -> float | None:
    if file.read(12)[:4] != b"RIFF":  # RF64 and others have their sizes elsewhere
        return None
    bytes_a_second = 0
    while len(head := file.read(8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"data":
            # what streams (0, all ones) and sox (2 GiB less a header) write for "unknown"
            known = 0 < size < 0x7FFFF000
            return size / bytes_a_second if known and bytes_a_second else None
        body = file.read(size + size % 2) if name == b"fmt " else b""
        if name == b"fmt " and len(body) >= 12:
            bytes_a_second = struct.unpack("<I", body[8:12])[0]
        elif name != b"fmt ":
            file.seek(size + size % 2, 1)
    return None


def _of_mp3(file: BinaryIO) -> float | None:
    head = file.read(10)
    at = 0
    if head[:3] == b"ID3" and len(head) == 10:
        at = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(at)
    frame = file.read(512)
    if len(frame) < 160 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    version, rate = frame[1] >> 3 & 3, frame[2] >> 2 & 3
    if version not in _RATES or rate == 3:
        return None
    mono, mpeg1 = frame[3] >> 6 == 3, version == 3
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    xing = frame[4 + side :]
    if xing[:4] not in (b"Xing", b"Info") or not xing[7] & 1:
        return None
    frames = struct.unpack(">I", xing[8:12])[0]
    return float(frames * (1152 if mpeg1 else 576) / _RATES[version][rate])
