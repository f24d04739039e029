"""The disk space for songs that arrive and mixes, shared by all requests of this process."""

import threading

from microdemucs.problems import RetryLater


class UploadSpace:
    """At most `limit` bytes. Thread-safe."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """How many bytes are used now."""
        return self._used

    def ensure_free(self, size: int) -> None:
        """Raise RetryLater if `size` bytes do not fit beside those that are used now."""
        self.take(size)
        self.give_back(size)

    def take(self, size: int) -> None:
        """Use `size` more bytes. Raises RetryLater if they do not fit."""
        with self._lock:
            if self._used + size > self._limit:
                raise _no_room(self._limit)
            self._used += size

    def give_back(self, size: int) -> None:
        """Use `size` bytes less."""
        with self._lock:
            self._used -= size


def _no_room(limit: float) -> RetryLater:
    return RetryLater(
        "no-room",
        "There is no disk space for it now",
        f"the songs that arrive and the mixes take all of {limit:.0f} bytes: try again later, or "
        "upload a song straight to the store (POST /apiv1/uploads)",
        after=30,
    )
