"""How long a song says it is in its first bytes. The decoder measures how long it really is.

Only formats whose header can be read in a few bytes, and with which a small file can be long: FLAC
and WAV.
"""

import wave

from functions.upload.song_file import SongFile

_STREAMINFO_BYTES = 4 + 4 + 34  # marker, block header, STREAMINFO (RFC 9639, sections 8.1 and 8.2)


def declared_seconds(song: SongFile) -> float | None:
    """Return the duration that the header declares, in seconds; None if it declares none.

    Raises RetryLater if the song cannot be written to disk.
    """
    song.seek(0)
    head = song.file.read(_STREAMINFO_BYTES)
    if head.startswith(b"fLaC") and len(head) == _STREAMINFO_BYTES:
        return _flac_seconds(head)
    if head.startswith(b"RIFF"):
        return _wav_seconds(song)
    return None


def _flac_seconds(head: bytes) -> float | None:
    # 20 bits of sample rate, 3 of channels, 5 of bits per sample, 36 of samples
    fields = int.from_bytes(head[18:26], "big")
    rate, samples = fields >> 44, fields & (2**36 - 1)
    return samples / rate if rate and samples else None


def _wav_seconds(song: SongFile) -> float | None:
    song.seek(0)
    try:
        with wave.open(song.file, "rb") as header:
            rate, frame_bytes = header.getframerate(), header.getnchannels() * header.getsampwidth()
            # a WAV that was streamed declares more than there is
            frames = min(header.getnframes(), song.size // frame_bytes)
    except (wave.Error, EOFError, ZeroDivisionError):
        return None
    return frames / rate if rate else None
