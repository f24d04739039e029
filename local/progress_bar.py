"""A progress bar. Standard library only, as the first phases run before anything is installed."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_WIDTH = 24
_REDRAW_S = 0.1


class ProgressBar:
    """The progress of one phase: `with ProgressBar("separating") as bar: bar.update(0.5)`.

    On a terminal one line is redrawn. Elsewhere one line is printed when the phase ends. `note`
    returns what is shown beside it meanwhile.
    """

    def __init__(self, phase: str, note: Callable[[], str] = str) -> None:
        self._phase = phase
        self._note = note
        self._start = time.monotonic()
        self._progress = 0.0
        self._last_drawn = 0.0

    def __enter__(self) -> Self:
        self.update(0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self._progress = 1.0
        result = "done" if kind is None else "stopped"
        self._draw(f"{self.seconds:6.1f} s {result}", last=True)

    @property
    def seconds(self) -> float:
        """The time since the phase began."""
        return time.monotonic() - self._start

    def update(self, progress: float) -> None:
        """Show that `progress` of the phase, from 0 to 1, is done. It never goes back."""
        self._progress = max(self._progress, min(progress, 1.0))
        now = time.monotonic()
        if now - self._last_drawn < _REDRAW_S:
            return
        self._last_drawn = now
        remaining = "  …  "
        if self._progress > 0.02:
            seconds = self.seconds * (1 - self._progress) / self._progress
            remaining = f"{seconds:5.0f} s left"
        self._draw(f"{remaining} {self._note()}", last=False)

    def _draw(self, text: str, *, last: bool) -> None:
        full = round(self._progress * _WIDTH)
        bar = "█" * full + "░" * (_WIDTH - full)
        line = f"{self._phase:28.28} {bar} {self._progress:4.0%} {text}"
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="\n" if last else "", flush=True)
        elif last:
            print(line, flush=True)
