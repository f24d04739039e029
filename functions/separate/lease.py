"""The exclusive lease on writing a song's results: renewed every 4 s, expires after 15 s.

Leases are entries of the key-value bucket `leases`, which deletes an entry that is not renewed: a
process that is killed frees its song.
"""

import threading
import time
from contextlib import suppress

from microdemucs.bus import LEASES, Bus, RevisionConflict
from microdemucs.jobs import song_digest
from microdemucs.problems import RetryLater

RENEW_S = 4.0
_MAX_WAIT_S = 5.0
_RETRY_S = 0.25


class Lease:
    """Held from `take` to `release`; `lost` is set if another process has taken it since."""

    def __init__(self, bus: Bus, song_key: str, owner: str) -> None:
        self._bus = bus
        self._key = song_digest(song_key)
        self._owner = owner.encode()
        self._revision = 0
        self.lost = threading.Event()

    def take(self) -> None:
        """Take the lease, and wait up to 5 s for it.

        Raises RetryLater if another process keeps it, or the bus is away.
        """
        deadline = time.monotonic() + _MAX_WAIT_S
        while True:
            try:
                self._revision = self._bus.create(LEASES, self._key, self._owner)
            except RevisionConflict:
                if time.monotonic() > deadline:
                    raise song_busy() from None
                time.sleep(_RETRY_S)
            else:
                return

    def renew(self) -> None:
        """Renew the lease, or set `lost`. Raises RetryLater if the bus is away."""
        try:
            self._revision = self._bus.update(LEASES, self._key, self._owner, self._revision)
        except RevisionConflict:  # it expired while the bus or this process stood still
            try:
                self._revision = self._bus.create(LEASES, self._key, self._owner)
            except RevisionConflict:
                self.lost.set()

    def release(self) -> None:
        """Release the lease at once. If the bus is away, the lease expires by itself."""
        if self._bus.is_up and not self.lost.is_set():
            with suppress(RetryLater):
                self._bus.delete(LEASES, self._key)


def song_busy() -> RetryLater:
    """Return the problem that another process has the song's lease."""
    return RetryLater("song-busy", "Another process is separating this song", busy=True)
