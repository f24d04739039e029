"""When a message comes again, and when it has been tried enough."""

from collections.abc import Hashable

from minio_events.forward import Retry

_LONGEST_S = 300.0
_LONGEST_UNCOUNTED_S = 5.0


class Backoff:
    """Counts what failed, per message, for as long as this process lives.

    The server's count would not do: it counts being busy, too. After a restart of the bridge a
    message has all its attempts again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._failed: dict[Hashable, int] = {}
        self._tried: dict[Hashable, int] = {}

    def next_delay(self, message: Hashable, verdict: Retry) -> float | None:
        """Seconds until `message` is tried again, or None where it was tried enough.

        The delay doubles from 1 s; a function that asks for more gets it.
        """
        tried = self._tried[message] = self._tried.get(message, 0) + 1
        if verdict.counted:
            failed = self._failed[message] = self._failed.get(message, 0) + 1
            if failed >= self._most:
                return None
        longest = _LONGEST_S if verdict.counted else _LONGEST_UNCOUNTED_S
        return max(verdict.after or 0.0, min(longest, 2.0 ** min(tried - 1, 20)))

    def forget(self, message: Hashable) -> None:
        """It is done, or given up."""
        self._failed.pop(message, None)
        self._tried.pop(message, None)
