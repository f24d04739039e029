"""Peaks: what a waveform is drawn from. docs/events.md describes the format.

A document of peaks is one line of JSON, the header, and then columns of signed bytes.
"""

from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from microdemucs.manifest import BadDocument, decode

PEAKS = "peaks.bin"
PEAKS_TYPE = "application/octet-stream"

RATE = 25
"""Columns per second."""
HOP = 44_100 // RATE
"""Samples per column, at 44.1 kHz."""
VALUES = ("min", "max", "rms")
"""The bytes of one stem in one column."""

MAX_PEAKS_BYTES = 64 * 1024**2
"""The largest document that is read: a day of 6 stems has 39 MB."""

_LONGEST_HEADER = 4096


class PeaksHeader(Struct, frozen=True, kw_only=True):
    """What the columns behind it are. `stems` is empty if no column exists yet.

    `total` is the song's number of columns, `start` the number of the first one that follows.
    `final` tells whether the stems are finished: before, all values are those of the previews.
    """

    stems: list[str]
    total: int
    start: int = 0
    final: bool = False
    rate: int = RATE
    values: list[str] = field(default_factory=lambda: [*VALUES])


class Peaks(NamedTuple):
    """Columns of all stems, in the order of the header."""

    header: PeaksHeader
    columns: bytes

    @property
    def stop(self) -> int:
        """The number of the column behind the last one."""
        return self.header.start + len(self.columns) // self._column_bytes

    def from_column(self, start: int) -> "Peaks":
        """Return the columns from `start` on, or from the first one if that is later."""
        start = min(max(start, self.header.start), self.stop)
        skipped = (start - self.header.start) * self._column_bytes
        header = msgspec.structs.replace(self.header, start=start)
        return Peaks(header, self.columns[skipped:])

    def write(self) -> bytes:
        """Return the document."""
        return msgspec.json.encode(self.header) + b"\n" + self.columns

    @staticmethod
    def read(document: bytes) -> "Peaks":
        """Read what `write` wrote. Raises BadDocument."""
        line, end, columns = document.partition(b"\n")
        if not end or len(line) > _LONGEST_HEADER:
            raise BadDocument("it does not begin with a line of JSON")
        peaks = Peaks(decode(line, PeaksHeader), columns)
        if min(peaks.header.start, peaks.header.total) < 0 or len(columns) % peaks._column_bytes:
            raise BadDocument("its columns do not fit its header")
        return peaks

    @property
    def _column_bytes(self) -> int:
        return max(1, len(self.header.stems) * len(self.header.values))


def peaks_key(song_key: str) -> str:
    """Return the key, in the output bucket, of the peaks of a song's stems."""
    return f"{song_key}/{PEAKS}"
