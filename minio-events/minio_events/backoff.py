"""Exponential backoff: when to retry a message, and when it has failed too often.

For deliveries of webhooks it is only a floor: "How a webhook is retried" in docs/events.md.
"""

from collections.abc import Hashable

from minio_events.forward import Retry

_MAX_DELAY_S = 300.0
_MAX_UNCOUNTED_DELAY_S = 5.0


def delay_after(tries: int, verdict: Retry) -> float:
    """Return the seconds until the next attempt after `tries` that ended like this one.

    The delay starts at 1 s and doubles. A function can ask for a longer one.
    """
    max_delay = _MAX_DELAY_S if verdict.counted else _MAX_UNCOUNTED_DELAY_S
    return max(verdict.after or 0.0, min(max_delay, 2.0 ** min(tries - 1, 20)))


class Backoff:
    """The failed attempts of each message, for as long as this process lives.

    The server's own count cannot be used: it also counts the times a function was only busy. After
    a restart of the bridge a message has all its attempts again.
    """

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._failures: dict[Hashable, int] = {}
        self._tries: dict[Hashable, int] = {}

    def next_delay(self, message: Hashable, verdict: Retry) -> float | None:
        """Return the seconds until the next attempt (see `delay_after`), or None after the last."""
        tries = self._tries[message] = self._tries.get(message, 0) + 1
        if verdict.counted:
            failures = self._failures[message] = self._failures.get(message, 0) + 1
            if failures >= self._max_attempts:
                return None
        return delay_after(tries, verdict)

    def forget(self, message: Hashable) -> None:
        """Drop the counts of a message that is done or dead-lettered."""
        self._failures.pop(message, None)
        self._tries.pop(message, None)
