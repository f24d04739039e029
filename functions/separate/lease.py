"""The exclusive lease on writing a song's results: renewed every 4 s, expires after 15 s.

Leases are entries of the key-value bucket `leases`, which deletes an entry that is not renewed: a
process that is killed frees its song. The entry's revision is the fencing token: only the process
that wrote the newest revision can renew the lease. A process that stood still for too long has
lost it for good, also if nobody else has taken it since.
"""

import logging
import secrets
import threading
import time
from contextlib import suppress

from microdemucs.bus import LEASES, Bus, RevisionConflict
from microdemucs.jobs import song_digest
from microdemucs.problems import RetryLater

log = logging.getLogger(__name__)

RENEW_S = 4.0
EXPIRES_S = 15.0
_MAX_WAIT_S = 5.0
_RETRY_S = 0.25
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts while the machine sleeps


class Lease:
    """Held from `take` to `release`, unless it is lost before. Thread-safe."""

    def __init__(self, bus: Bus, song_key: str, owner: str) -> None:
        self._bus = bus
        self._key = song_digest(song_key)
        self._value = f"{owner} {secrets.token_hex(8)}".encode()  # nobody else writes it
        self._revision = 0
        self._tried = _now()  # when the last renewal was tried
        self._lost = threading.Event()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Take the lease, and wait up to 5 s for it.

        Raises RetryLater if another process keeps it, or the bus is away.
        """
        deadline = time.monotonic() + _MAX_WAIT_S
        while True:
            self._tried = _now()
            try:
                self._revision = self._bus.create(LEASES, self._key, self._value)
            except RevisionConflict:
                if time.monotonic() > deadline:
                    raise song_busy() from None
                time.sleep(_RETRY_S)
            else:
                return

    @property
    def is_lost(self) -> bool:
        """Whether the lease is known to be lost. It is so too if this process stood still."""
        if not self._lost.is_set() and _now() - self._tried > EXPIRES_S:
            self.lose("this process stood still")
        return self._lost.is_set()

    def ensure_held(self) -> None:
        """Raise RetryLater if the lease is known to be lost. Asks nobody."""
        if self.is_lost:
            raise song_busy()

    def confirm(self) -> None:
        """Renew the lease now. Raises RetryLater if it is known to be lost.

        While the bus is away, this raises nothing: probably nobody can take the lease then.
        """
        self.is_held_now()
        self.ensure_held()

    def is_held_now(self) -> bool:
        """Renew the lease and return whether that worked: False also while the bus is away."""
        with suppress(RetryLater):
            if self._bus.is_up:
                self.renew()
                return not self.is_lost
        return False

    def renew(self) -> None:
        """Renew the lease, or lose it. Raises RetryLater if the bus is away."""
        with self._lock:
            if self.is_lost:
                return
            self._tried = _now()
            try:
                self._revision = self._bus.update(LEASES, self._key, self._value, self._revision)
            except RevisionConflict:
                entry = self._bus.get(LEASES, self._key)
                if not entry or entry.value != self._value:
                    self.lose("it expired")
                else:  # the answer to an earlier renewal was lost
                    self._revision = entry.revision

    def lose(self, reason: str) -> None:
        """Give the lease up for good: this process writes nothing more."""
        if not self._lost.is_set():
            log.warning("lease lost", extra={"reason": reason})
        self._lost.set()

    def release(self) -> None:
        """Release the lease at once. If the bus is away, the lease expires by itself."""
        if self._bus.is_up and not self.is_lost:
            with suppress(RetryLater, RevisionConflict):
                self._bus.delete(LEASES, self._key, self._revision)


def song_busy() -> RetryLater:
    """Return the problem that another process has the song's lease."""
    return RetryLater("song-busy", "Another process is separating this song", busy=True)


def _now() -> float:
    return time.clock_gettime(_CLOCK)
