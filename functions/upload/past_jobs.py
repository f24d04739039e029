"""How fast this deployment separates, measured by its past jobs."""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from statistics import median
from typing import Any, NamedTuple

from microdemucs.jobs import JobRecord, JobState

MEASURED_JOBS = 50
"""The latest jobs of one kind that count."""
_LEAST_S = 20.0
"""Shorter songs measure the start of a job rather than the separation."""
_WORK_OPTIONS = ("shifts", "overlap", "segment")


class _Kind(NamedTuple):
    """What the time of a job depends on, beside the length of its song."""

    model: str
    options: tuple[Any, ...]


class PastJobs:
    """Real-time factors, and bytes per second of songs, of the jobs that are done.

    The real-time factor is the seconds that a job takes for each second of its song. Jobs whose
    stems were copied from another song do not count.
    """

    def __init__(self, jobs: Iterable[JobRecord]) -> None:
        self._factors: dict[_Kind, deque[float]] = defaultdict(lambda: deque(maxlen=MEASURED_JOBS))
        self._byte_rates: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MEASURED_JOBS))
        self.default_model = ""
        done = (job for job in jobs if job.state == JobState.DONE and job.started and job.estimate)
        for job in sorted(done, key=lambda job: job.finished):
            if not job.options.get("model"):
                self.default_model = job.model
            seconds = float(job.song.get("seconds", 0.0))
            if seconds >= _LEAST_S:
                took = seconds_between(job.started, job.finished)
                self._factors[_kind(job, job.model)].append(took / seconds)
                self._byte_rates[_suffix(job)].append(job.size / seconds)

    def real_time_factor(self, job: JobRecord | None = None) -> float | None:
        """Return the median of jobs with these options, by default none; None if there are none."""
        if job is None:
            kind = _Kind(self.default_model, (None,) * len(_WORK_OPTIONS))
        else:
            kind = _kind(job, job.model or job.options.get("model") or self.default_model)
        factors = self._factors.get(kind)
        return median(factors) if factors else None

    def seconds_of(self, job: JobRecord) -> float | None:
        """Return how long the job takes from start to end; None if no past job tells.

        Before its song is decoded, the length is estimated from its size, as of songs with the same
        suffix.
        """
        factor = self.real_time_factor(job)
        if factor is None:
            return None
        if length := job.song.get("seconds"):
            return factor * float(length)
        rates = self._byte_rates.get(_suffix(job))
        return factor * job.size / median(rates) if rates else None


def seconds_between(start: str, end: str) -> float:
    """Return the seconds between two times of a job record, at least 0."""
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def _kind(job: JobRecord, model: str) -> _Kind:
    return _Kind(model, tuple(job.options.get(name) for name in _WORK_OPTIONS))


def _suffix(job: JobRecord) -> str:
    return PurePosixPath(job.key).suffix.lower()
