"""Write the peaks of all stems: new columns while the stems grow, and all of them in the end.

Stems grow in threads of their own. A column is written when all stems have it.
"""

import threading
from collections.abc import Sequence

import numpy as np

from functions.separate.audio.peak_meter import PeakMeter
from functions.separate.output.destination import PREVIEW_INTERVAL, Destination
from microdemucs.manifest import PeaksEntry
from microdemucs.peaks import HOP, PEAKS_TYPE, RATE, Peaks, PeaksHeader

_INTERVAL = PREVIEW_INTERVAL // HOP
"""Columns between two previews: as many as between two chunks of a stem."""


class PeaksWriter:
    """The peaks of stems of `length` samples, which `meters` measure. Raises RetryLater."""

    def __init__(
        self,
        destination: Destination,
        stems: Sequence[str],
        meters: Sequence[PeakMeter],
        length: int,
    ) -> None:
        self._destination = destination
        self._stems = list(stems)
        self._meters = meters
        self._total = -(-length // HOP)
        self._lock = threading.Lock()
        self._published = 0
        self._next = 1  # how many columns there must be before the next preview

    def grown(self) -> None:
        """Publish the new columns if it is time, and if more follow. Any thread may call it."""
        with self._lock:
            stop = min(meter.columns for meter in self._meters)
            if self._next <= stop < self._total:
                self._destination.write_peaks_preview(
                    self._read(self._published, stop, is_final=False)
                )
                self._published, self._next = stop, stop + _INTERVAL

    def finish(self) -> PeaksEntry:
        """Write all columns, and return their entry in the manifest."""
        document = self._read(0, self._total, is_final=True).write()
        key = self._destination.write_peaks(document)
        return PeaksEntry(key, len(document), PEAKS_TYPE, RATE, self._total)

    def _read(self, start: int, stop: int, *, is_final: bool) -> Peaks:
        columns = np.stack([meter.read(start, stop) for meter in self._meters], axis=1)
        header = PeaksHeader(stems=self._stems, total=self._total, start=start, final=is_final)
        return Peaks(header, columns.tobytes())
