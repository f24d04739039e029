"""One progress bar per phase, with the time that is left. Standard library only: the first phases
run before anything is installed.
"""

import sys
import time
from types import TracebackType

_WIDTH = 24


class Bar:
    """A phase that is on its way: `with Bar("separating") as bar: bar.at(0.5)`.

    On a terminal one line is drawn over and over; elsewhere one line is printed at the end.
    """

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._start = time.monotonic()
        self._share = 0.0
        self._drawn = 0.0

    def __enter__(self) -> "Bar":
        self.at(0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self._share = 1.0
        end = "done" if kind is None else "stopped"
        took = f"{time.monotonic() - self._start:6.1f} s"
        self._draw(f"{took} {end}", last=True)

    @property
    def seconds(self) -> float:
        """How long the phase has taken so far, in s."""
        return time.monotonic() - self._start

    def at(self, share: float) -> None:
        """`share` of the phase is done, from 0 to 1; it never goes back."""
        self._share = max(self._share, min(share, 1.0))
        now = time.monotonic()
        if now - self._drawn < 0.1:
            return
        self._drawn = now
        left = "  …  "
        if self._share > 0.02:
            left = f"{(now - self._start) * (1 - self._share) / self._share:5.0f} s left"
        self._draw(left, last=False)

    def _draw(self, right: str, *, last: bool) -> None:
        full = round(self._share * _WIDTH)
        drawn = (
            f"{self._phase:28.28} {'█' * full}{'░' * (_WIDTH - full)} {self._share:4.0%} {right}"
        )
        if sys.stdout.isatty():
            print(f"\r\033[K{drawn}", end="\n" if last else "", flush=True)
        elif last:
            print(drawn, flush=True)
