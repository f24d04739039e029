"""Publish a job's progress in background threads, and watch for reasons to stop.

One thread publishes every second, renews the lease, and watches for cancellation. Another one
watches for a song that was removed or replaced. The job record is only a view, so a bus that is
away does not stop the work; nor does a store.
"""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from functions.separate.lease import RENEW_S, Lease
from functions.separate.on_progress import OnProgress
from functions.separate.record_writer import is_for_event
from microdemucs.bus import CANCELS, Bus
from microdemucs.jobs import FINISHED, PHASES, JobRecord, JobState
from microdemucs.problems import Cancelled, RetryLater, now
from microdemucs.shutdown import stopping
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)

_ENCODING_SHARE = 0.01  # seconds to encode one second of one stem, on one core
_MARGIN_S = 3.0  # of the grace period, for what follows the last check
_INTERVAL_S = 1.0
_BUS_TIMEOUT_S = 6.0  # one request to a bus that is away, and a little more

Publish = Callable[[JobRecord], None]
"""Writes a job record to the bus. Raises RetryLater."""

CheckSong = Callable[[], None]
"""Raises ObjectChanged if the song was removed or replaced, RetryLater if the store is away."""


class ProgressReporter:
    """The job record of one piece of work, and how long each of its phases took.

    `grace_seconds` is how long the work may go on after SIGTERM. `publish` writes the record.
    `event_time` is when the song was sent: a cancel request from before that is not for this run.
    `check_song` is called every second.
    """

    def __init__(
        self,
        bus: Bus,
        lease: Lease,
        record: JobRecord,
        grace_seconds: float,
        publish: Publish,
        *,
        event_time: str = "",
        check_song: CheckSong = lambda: None,
    ) -> None:
        self.record = record
        self.lease = lease
        self.timings: dict[str, float] = {}
        self._bus = bus
        self._grace_seconds = grace_seconds
        self._event_time = event_time
        self._check_song = check_song
        self._publish_record = publish
        self._range = 0.0, 1.0
        self._reencode_seconds = 0.0
        self._work_started = 0.0
        self._phase_started = 0.0
        self._phase_progress = 0.0
        self._stop_deadline = 0.0
        self._phase_changed = threading.Event()
        self._ended = threading.Event()
        self._song_changed = threading.Event()
        self._threads = [_thread(self._watch), _thread(self._watch_song)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Publish and watch while the context is open.

        Raises Cancelled or RetryLater, before anything is published, if the work must not begin.
        """
        self._work_started = time.monotonic()
        self._read_cancellation()
        self.raise_if_interrupted()
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._phase_changed.set()
            self._threads[0].join(_BUS_TIMEOUT_S)  # it may be publishing; the other only reads

    @contextmanager
    def phase(self, name: str) -> Iterator[OnProgress]:
        """Measure this phase. Yields the callback for its progress.

        The callback raises Cancelled, ObjectChanged or RetryLater if the work must end.
        """
        self.record.phase = name
        self._phase_started, self._phase_progress = time.monotonic(), 0.0
        self._phase_changed.set()

        def on_progress(share: float) -> None:
            self._phase_progress = share
            phase_start, phase_end = PHASES[name]
            start, end = self._range
            progress = start + (phase_start + share * (phase_end - phase_start)) * (end - start)
            self.record.progress = max(self.record.progress, round(progress, 4))
            self.raise_if_interrupted()

        try:
            on_progress(0.0)
            yield on_progress
        finally:
            seconds = time.monotonic() - self._phase_started
            self.timings[name] = round(self.timings.get(name, 0.0) + seconds, 3)

    def set_range(self, start: float, end: float) -> None:
        """Say that this work is a part of the job: its progress is from `start` to `end`."""
        self._range = start, end

    def set_reencode_seconds(self, seconds: float) -> None:
        """Say how many seconds of audio must be encoded again after the separation."""
        self._reencode_seconds = seconds

    def block_separated(self) -> None:
        """Record when the first block was separated."""
        if "first_block" not in self.timings:
            self.timings["first_block"] = round(time.monotonic() - self._work_started, 3)

    def raise_if_interrupted(self) -> None:
        """Raise Cancelled, ObjectChanged or RetryLater if the work must end."""
        self.lease.ensure_held()
        if self.record.cancel_requested:
            raise Cancelled(self.record.cancel_requested)
        if self._song_changed.is_set():
            raise ObjectChanged(self.record.key)
        if stopping.is_set() and self._remaining_seconds() > self._grace_left():
            raise RetryLater("stopping", "This process is stopping", after=1, busy=True)

    def complete(self) -> None:
        """Publish that all of this work is done. Call it after `running`."""
        self.record.progress = max(self.record.progress, self._range[1])
        self.record.phase = ""
        self._publish()

    def set_state(self, state: JobState) -> None:
        """Publish the job's state. Call it after `running`.

        Raises RetryLater if the job has ended and the bus is away. The event must come again, since
        nothing else would ever correct the record.
        """
        self.record.state = state
        self.record.phase = ""
        if state in FINISHED:
            self.record.updated = now()
            self._publish_record(self.record)
        else:
            self._publish()

    def _grace_left(self) -> float:
        """Return the seconds of grace that are left, counted from the first call."""
        if not self._stop_deadline:
            self._stop_deadline = time.monotonic() + self._grace_seconds - _MARGIN_S
        return self._stop_deadline - time.monotonic()

    def _remaining_seconds(self) -> float:
        """Estimate how long the rest of this phase, and the encoding after it, will take."""
        encoding = _ENCODING_SHARE * self._reencode_seconds
        if self.record.phase == "uploading":
            return encoding * (1 - self._phase_progress)
        if not self._phase_progress:
            return float("inf")
        seconds = time.monotonic() - self._phase_started
        return seconds / self._phase_progress * (1 - self._phase_progress) + encoding

    def _watch(self) -> None:
        renewed = time.monotonic()
        while not self._ended.is_set():
            self._phase_changed.clear()
            try:
                if time.monotonic() - renewed > RENEW_S:
                    self.lease.renew()
                    renewed = time.monotonic()
                self._publish()
                self._read_cancellation()
            except RetryLater:
                log.warning("message bus is away, the work continues")
            self._phase_changed.wait(_INTERVAL_S)

    def _watch_song(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            with suppress(RetryLater):  # a store that is away changes nothing
                try:
                    self._check_song()
                except ObjectChanged:
                    self._song_changed.set()
                    return

    def _read_cancellation(self) -> None:
        entry = self._bus.get(CANCELS, self.record.id)
        requested = (entry.value or b"").decode(errors="replace") if entry else ""
        if is_for_event(requested, self._event_time):
            self.record.cancel_requested = requested

    def _publish(self) -> None:
        self.record.updated = now()
        if self.lease.is_lost or not self._bus.is_up:  # a request to the bus would take seconds
            return
        with suppress(RetryLater):
            self._publish_record(self.record)


def _thread(work: Callable[[], None]) -> threading.Thread:
    context = contextvars.copy_context()  # so that the thread's log lines name the job too
    return threading.Thread(target=context.run, args=(work,), daemon=True)
