"""Wait for a condition instead of sleeping for a guessed time."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")
_INTERVAL_S = 0.02


def wait_until(
    condition: Callable[[], T | Literal[False] | None], seconds: float = 60, what: str = ""
) -> T:
    """Return the first true value of `condition`, which is called every 20 ms.

    Raises AssertionError after `seconds`; its message says `what` was expected.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        time.sleep(_INTERVAL_S)
    return value
