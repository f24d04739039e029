"""What a job tells while it runs, and what it must hear: a thread of its own for both.

The job's line in the key-value bucket is a view, so a bus that is away holds up nothing. In the
other direction `check` ends the work where it was cancelled, where another process holds the song
now, and where this one must stop before it could finish.
"""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from functions.separate.lease import REFRESH_S, Lease
from microdemucs.bus import CANCELS, JOBS, Bus
from microdemucs.jobs import PHASES, JobRecord, JobState
from microdemucs.problems import Rejected, RetryLater, now
from microdemucs.shutdown import stopping

log = logging.getLogger(__name__)

_ENCODING_SHARE = 0.01  # s per s of one stem, on one core
_MARGIN_S = 3.0  # of the grace, for what comes after the last check
_EVERY_S = 1.0


class Cancelled(Rejected):
    """Its owner wants it no more."""

    def __init__(self) -> None:
        super().__init__("cancelled", "The job was cancelled")


class ProgressReporter:
    """One job's record, told once a second and with each phase.

    `again` is how many s of stems are yet to be encoded once more when all is separated, `span`
    what shares of the job lie before and after this work.
    """

    def __init__(self, bus: Bus, lease: Lease, record: JobRecord, grace: float) -> None:
        self.record = record
        self.timings: dict[str, float] = {}
        self.again = 0.0
        self.span = 0.0, 1.0
        self._bus = bus
        self._lease = lease
        self._grace = grace
        self._began = 0.0
        self._stop_by = 0.0
        self._since = 0.0
        self._share = 0.0
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._cancelled = threading.Event()
        context = contextvars.copy_context()  # so that its lines too say which job
        self._thread = threading.Thread(target=context.run, args=(self._tell,), daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tell and listen while the job is worked on."""
        self._began = time.monotonic()
        self._hear_cancel()
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._changed.set()
            self._thread.join(6.0)  # as long as one question to a bus that is away

    @contextmanager
    def phase(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time this phase; call what it yields with the share of it that is done."""
        self.record.phase = name
        self._since, self._share = time.monotonic(), 0.0
        self._changed.set()

        def step(share: float) -> None:
            self._share = share
            begin, end = PHASES[name]
            before, after = self.span
            done = before + (begin + share * (end - begin)) * (after - before)
            self.record.progress = max(self.record.progress, round(done, 4))
            self.check()

        try:
            step(0.0)
            yield step
        finally:
            took = time.monotonic() - self._since
            self.timings[name] = round(self.timings.get(name, 0.0) + took, 3)

    def block(self) -> None:
        """A block of the song is separated: time the first."""
        if "first_block" not in self.timings:
            self.timings["first_block"] = round(time.monotonic() - self._began, 3)

    def check(self) -> None:
        """Raise where the work must end: Cancelled, or RetryLater."""
        if self._cancelled.is_set():
            raise Cancelled
        if self._lease.lost.is_set():
            raise RetryLater("song-busy", "Another process works on this song", busy=True)
        if stopping.is_set() and self._remaining() > self._left():
            raise RetryLater("stopping", "This process is about to end", after=1, busy=True)

    def state(self, state: JobState) -> None:
        """Tell the last state, once the thread has ended. The bus may be away."""
        self.record.state = state
        self.record.phase = ""
        self._put()

    def _left(self) -> float:
        """Seconds of grace from when the stop was first seen."""
        self._stop_by = self._stop_by or time.monotonic() + self._grace - _MARGIN_S
        return self._stop_by - time.monotonic()

    def _remaining(self) -> float:
        """Seconds that this phase, at its speed, and those after it may take."""
        encoding = _ENCODING_SHARE * self.again
        if self.record.phase == "uploading":
            return encoding * (1 - self._share)
        if not self._share:
            return float("inf")
        took = time.monotonic() - self._since
        return took / self._share * (1 - self._share) + encoding

    def _tell(self) -> None:
        refreshed = time.monotonic()
        while not self._ended.is_set():
            self._changed.clear()
            try:
                if time.monotonic() - refreshed > REFRESH_S:
                    self._lease.refresh()
                    refreshed = time.monotonic()
                self._put()
                self._hear_cancel()
            except RetryLater:
                log.warning("bus away, work goes on")
            self._changed.wait(_EVERY_S)

    def _hear_cancel(self) -> None:
        if self._bus.get(CANCELS, self.record.id):
            self._cancelled.set()

    def _put(self) -> None:
        self.record.updated = now()
        if not self._bus.is_up:  # to ask would take seconds
            return
        with suppress(RetryLater):
            self._bus.put(JOBS, self.record.id, self.record.write())
