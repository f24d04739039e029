"""Read the duration that a file declares, if its header is reliable: this finds truncated files.

Only headers that are written when the audio is complete count: the Xing or Info frame of an MP3,
FLAC's STREAMINFO, the tables of an MP4, the frame count of an AIFF and a WavPack, the size of a
CAF, and the duration of a Matroska or WMA file without video. WAV headers are read by
functions.separate.audio.wav_header. Raw AAC, Ogg, and an MP3 without that frame declare nothing.
"""

import struct
from typing import BinaryIO

HEAD_BYTES = 512

# MPEG audio, layer III (ISO/IEC 11172-3 and 13818-3): Hz by version bits and index
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG_1 = 3
_RELIABLE = ("flac", "aiff", "wv", "asf")
_MAX_CHUNKS = 10_000


def declared_seconds(head: bytes, container: str, ffmpeg_seconds: float | None) -> float | None:
    """Return the declared duration in seconds, or None if no reliable header declares one.

    `head` is how the audio begins: tags in front of an MP3 are cut off. `container` is FFmpeg's
    name of the format, `ffmpeg_seconds` the duration that FFmpeg found.
    """
    if container in _RELIABLE or "mp4" in container or "matroska" in container:
        return ffmpeg_seconds
    return _mp3_seconds(head) if container == "mp3" else None


def caf_seconds(file: BinaryIO) -> float | None:
    """Return the duration by the sizes of a CAF's chunks; None if its packets vary.

    Source: Apple Core Audio Format Specification 1.0.
    """
    at, seconds_per_byte = 8, 0.0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12:
            return None
        name, size = struct.unpack(">4sq", head)
        if name == b"desc" and len(desc := file.read(32)) == 32:
            rate, _, _, packet_bytes, packet_frames = struct.unpack(">d4sIII", desc[:24])
            if packet_bytes and rate >= 1:  # false for NaN
                seconds_per_byte = packet_frames / packet_bytes / rate
        if name == b"data" or size < 0:
            return (size - 4) * seconds_per_byte if size > 4 and seconds_per_byte else None
        at += 12 + size
    return None


def _mp3_seconds(frame: bytes) -> float | None:
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
