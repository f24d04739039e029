"""Each unfinished job's position in the queue, and the seconds until it is done.

It is a forecast from the job records and from the time that past jobs took.
"""

import heapq
import threading
import time
from dataclasses import dataclass

from functions.upload.jobs_view import JobsView
from functions.upload.past_jobs import PastJobs, seconds_between
from functions.upload.queue_order import queue_order
from microdemucs.jobs import FINISHED, JobRecord, JobState
from microdemucs.problems import now

REFRESH_S = 5.0
"""How old a forecast may become while no job changes its state."""
_QUICK_S = 0.005
_PAUSE_FACTOR = 10
"""After a forecast that was not quick, the next one waits for so many times as long."""
_LEAST_PROGRESS = 0.1
"""From here on a job's own progress says how long it still takes."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a job: its position (1 is next) if it waits, and the seconds left.

    None stands for what is not known. Both are None for a job that has finished.
    """

    position: int | None = None
    seconds_left: float | None = None


NOTHING = Expected()


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast that was made at `time`, of the jobs by their ids.

    `waiting` holds jobs that wait, in their order.
    """

    time: str
    past: PastJobs
    waiting: dict[str, Expected]

    def of(self, job: JobRecord) -> Expected:
        """Return what is expected of the job now."""
        if job.state == JobState.RUNNING:
            return Expected(None, seconds_left(job, self.past, now()))
        if job.state in FINISHED:
            return NOTHING
        expected = self.waiting.get(job.id, NOTHING)
        if expected.seconds_left is None:
            return expected
        left = expected.seconds_left - seconds_between(self.time, now())
        return Expected(expected.position, round(max(0.0, left), 1))


class QueueForecast:
    """The forecast of all jobs, made anew when the queue changes. Thread-safe."""

    def __init__(self, view: JobsView) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._number = -1
        self._made_at = 0.0
        self._pause = 0.0
        self._forecast = make_forecast([], now())

    def current(self) -> Forecast:
        """Return a forecast of the present queue, at most REFRESH_S old.

        With very many job records it may lag behind the queue for a moment.
        """
        with self._lock:
            number, age = self._view.queue_number, time.monotonic() - self._made_at
            has_changed = number != self._number and age >= self._pause
            if has_changed or (age > REFRESH_S and self._forecast.waiting):
                began = time.thread_time()
                self._forecast = make_forecast(self._view.records(), now())
                self._number, self._made_at = number, time.monotonic()
                took = time.thread_time() - began
                self._pause = took * _PAUSE_FACTOR if took > _QUICK_S else 0.0
            return self._forecast


def make_forecast(jobs: list[JobRecord], time: str) -> Forecast:
    """Return what is expected at `time` of all jobs.

    Songs are separated in their turns, as many at a time as are running now.
    """
    past = PastJobs(jobs)
    unfinished = queue_order(jobs)
    running = [job for job in unfinished if job.state == JobState.RUNNING]
    # When each process becomes free, in seconds from now; None once that is not known.
    free: list[float] | None = []
    for job in running:
        left = seconds_left(job, past, time)
        free = None if free is None or left is None else [*free, left]
    if free is not None:
        free = sorted(free) or [0.0]
    waiting = {}
    for position, job in enumerate(unfinished[len(running) :], 1):
        takes = past.seconds_of(job)
        end = None if free is None or takes is None else free[0] + takes
        if free is None or end is None:
            free = None
        else:
            heapq.heapreplace(free, end)
        waiting[job.id] = Expected(position, end)
    return Forecast(time, past, waiting)


def seconds_left(job: JobRecord, past: PastJobs, time: str) -> float | None:
    """Return how long a running job still takes at `time`; None if that is not known."""
    if job.started and job.progress >= _LEAST_PROGRESS:
        takes = seconds_between(job.started, job.updated) / job.progress
    else:
        known = past.seconds_of(job) or (job.estimate and job.estimate.seconds)
        if not known:
            return None
        takes = known
    left = takes * (1 - job.progress) - seconds_between(job.updated, time)
    return round(max(0.0, left), 1)
