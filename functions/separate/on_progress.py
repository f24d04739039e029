"""The callback with which long work reports its progress and learns that it must end."""

from collections.abc import Callable

OnProgress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1. It may raise to end the work."""
