"""The right to write beside a song: one holder at a time, who says every few seconds that it lives.

The key-value bucket `leases` forgets an entry after 15 s, so a killed process frees its song.
"""

import threading
import time
from contextlib import suppress

from microdemucs.bus import LEASES, Bus, RevisionConflict
from microdemucs.jobs import song_digest
from microdemucs.problems import RetryLater

REFRESH_S = 4.0
_WAIT_S = 5.0
_ASK_AGAIN_S = 0.25


class Lease:
    """Held from `take` to `release`; `lost` is set where another has it since."""

    def __init__(self, bus: Bus, song_key: str, owner: str) -> None:
        self._bus = bus
        self._key = song_digest(song_key)
        self._owner = owner.encode()
        self._revision = 0
        self.lost = threading.Event()

    def take(self) -> None:
        """Wait a little for it. Raises RetryLater where another keeps it, or the bus is away."""
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                self._revision = self._bus.create(LEASES, self._key, self._owner)
            except RevisionConflict:
                if time.monotonic() > until:
                    raise RetryLater(
                        "song-busy", "Another process works on this song", busy=True
                    ) from None
                time.sleep(_ASK_AGAIN_S)
            else:
                return

    def refresh(self) -> None:
        """Say that the holder lives. Raises RetryLater where the bus is away."""
        try:
            self._revision = self._bus.update(LEASES, self._key, self._owner, self._revision)
        except RevisionConflict:  # it ran out, while the bus or this process stood still
            try:
                self._revision = self._bus.create(LEASES, self._key, self._owner)
            except RevisionConflict:
                self.lost.set()

    def release(self) -> None:
        """Let the next one in at once; where the bus is away the entry runs out by itself."""
        if self._bus.is_up and not self.lost.is_set():
            with suppress(RetryLater):
                self._bus.delete(LEASES, self._key)
