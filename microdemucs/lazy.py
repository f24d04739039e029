"""A value that is made on first use, once per process."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Lazy(Generic[_T]):
    """What a function depends on: made by the first request, in the process that serves it.

    gunicorn forks after it has loaded the app, and threads and connections do not survive a fork.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[_T] = []

    def __call__(self) -> _T:
        """Return the value. Raises whatever making it raises; then the next call tries again."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]
