"""How much disk space a separation needs, by the constants of the code."""

from functions.separate.engine import SAMPLE_RATE
from functions.separate.output.destination import PART_BYTES, PREVIEW_INTERVAL
from functions.separate.output.spool import SAMPLE_BYTES

MAX_STEMS = 6
"""Of demucs' models, htdemucs_6s has the most sources."""


def disk_need(song_bytes: int, seconds: float, stems: int) -> int:
    """Return the most bytes that a song and so many stems, of any format, take on disk.

    Each stem has its samples, of its encoded file the first part and one that is not complete, what
    its preview has not published, and blocks that are in work.
    """
    samples = int(seconds * SAMPLE_RATE) * SAMPLE_BYTES
    encoded = 3 * PART_BYTES + PREVIEW_INTERVAL * SAMPLE_BYTES
    return song_bytes + stems * (samples + encoded)
