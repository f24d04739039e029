"""Read the duration that a file declares, if its header is reliable: this finds truncated files.

Only headers that are written when the audio is complete count: the data chunk of a WAV, the Xing
or Info frame of an MP3, FLAC's STREAMINFO, and the tables of an MP4. Raw AAC, Ogg, and an MP3
without that frame declare nothing, or guess.
"""

import struct
from pathlib import Path
from typing import BinaryIO

# MPEG audio, layer III (ISO/IEC 11172-3 and 13818-3): Hz by version bits and index
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG_1 = 3


def declared_seconds(
    path: Path | str, container: str, ffmpeg_seconds: float | None
) -> float | None:
    """Return the declared duration in seconds, or None if no reliable header declares one.

    `container` is FFmpeg's name of the format, `ffmpeg_seconds` the duration that FFmpeg found.
    """
    if container == "flac" or "mp4" in container:
        return ffmpeg_seconds
    with open(path, "rb") as file:
        if container == "wav":
            return _wav_seconds(file)
        if container == "mp3":
            return _mp3_seconds(file)
    return None


def _wav_seconds(file: BinaryIO) -> float | None:
    if file.read(12)[:4] != b"RIFF":  # RF64 and others keep their sizes elsewhere
        return None
    bytes_per_second = 0
    while len(header := file.read(8)) == 8:
        name, size = header[:4], struct.unpack("<I", header[4:])[0]
        if name == b"data":
            # programs that stream write 0 or all ones, sox writes 2 GiB less a header
            is_known = 0 < size < 0x7FFFF000
            return size / bytes_per_second if is_known and bytes_per_second else None
        body = file.read(size + size % 2) if name == b"fmt " else b""
        if name == b"fmt " and len(body) >= 12:
            bytes_per_second = struct.unpack("<I", body[8:12])[0]
        elif name != b"fmt ":
            file.seek(size + size % 2, 1)
    return None


def _mp3_seconds(file: BinaryIO) -> float | None:
    header = file.read(10)
    start = 0
    if header[:3] == b"ID3" and len(header) == 10:
        sizes = zip(header[6:10], (21, 14, 7, 0), strict=True)
        start = 10 + sum(byte << shift for byte, shift in sizes)
    file.seek(start)
    frame = file.read(512)
    if len(frame) < 160 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    version, rate = frame[1] >> 3 & 3, frame[2] >> 2 & 3
    if version not in _MP3_RATES or rate == 3:
        return None
    is_mono, is_mpeg_1 = frame[3] >> 6 == 3, version == _MPEG_1
    side_information = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    xing = frame[4 + side_information :]
    if xing[:4] not in (b"Xing", b"Info") or not xing[7] & 1:
        return None
    frames = struct.unpack(">I", xing[8:12])[0]
    return float(frames * (1152 if is_mpeg_1 else 576) / _MP3_RATES[version][rate])
