"""Which events one client gets about the jobs that it follows, and when.

The id of an event is a revision of the bucket `jobs`: the client has every change up to it. So one
number is enough to resume a stream of many jobs.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from functions.upload.jobs_view import JobsView, VersionedRecord, song_alias
from functions.upload.past_jobs import seconds_between
from functions.upload.queue_forecast import Expected, Forecast, QueueForecast
from microdemucs.jobs import FINISHED, JobRecord, JobState

_FOLLOWED_POSITIONS = 200
"""A client that follows all jobs is not told when those behind this position move."""
_LEAST_SHIFT_S = 10.0


class JobEvent(NamedTuple):
    """A change of a job. `is_new_state` also holds for the first event of a job in a stream."""

    id: int
    job: JobRecord
    is_new_state: bool


class _SentForecast(NamedTuple):
    """What a client knows of a waiting job, and when that was forecast."""

    expected: Expected
    time: str


class JobFollower:
    """The events of the jobs with these names, or of all jobs that have not finished.

    A name is that of a job, an upload or a song's hash; the job need not exist yet. `names` is None
    for all jobs: at first those that have not finished, then every job that changes.
    """

    def __init__(
        self,
        view: JobsView,
        queue: QueueForecast,
        names: frozenset[str] | None,
        last_event_id: int,
    ) -> None:
        self._view = view
        self._queue = queue
        self._names = names
        self._received = last_event_id
        self._last_change = -1  # nothing has been read
        self._event_id = 0
        self._sent: dict[str, tuple[int, str]] = {}  # by job id: revision, state
        self._waiting: dict[str, _SentForecast | None] = {}  # by job id
        self._forecast: Forecast | None = None  # the last one that was compared

    def next_events(self, timeout: float) -> list[JobEvent]:
        """Return the events since the last call, waiting up to `timeout` seconds for a change.

        The first call returns the present state of each job, without waiting; if the client has an
        event id, only of those that have changed since.
        """
        is_first = self._last_change < 0
        changes = self._view.changes_after(max(self._last_change, 0), 0 if is_first else timeout)
        self._last_change = changes.number
        if is_first:
            if self._received > changes.revision:  # of a bus that has lost its entries
                self._received = 0
            self._event_id = self._received
            jobs = list(self._first_jobs(changes.jobs))
        else:
            jobs = list(self._followed(changes.jobs))
        events = []
        for record, revision in sorted(jobs, key=lambda job: job.revision):
            sent_revision, sent_state = self._sent.get(record.id, (0, ""))
            if revision != sent_revision:
                self._event_id = max(self._event_id, min(revision, changes.revision))
                self._sent[record.id] = revision, record.state
                events.append(JobEvent(self._event_id, record, record.state != sent_state))
        return [*events, *self._moved([event.job for event in events])]

    def has_ended(self) -> bool:
        """Return whether all named jobs have finished, and the client has the last event of each.

        It never ends for a client that follows all jobs.
        """
        return self._names is not None and all(map(self._is_over, self._names))

    def _first_jobs(self, jobs: Iterable[VersionedRecord]) -> Iterator[VersionedRecord]:
        """Yield the jobs whose present state the client gets, and note those that it knows."""
        if self._names is not None:
            jobs = self._find(self._names)
        elif not self._received:
            jobs = (job for job in jobs if job.record.state not in FINISHED)
        for job in jobs:
            if job.revision > self._received:
                yield job
            else:
                self._sent[job.record.id] = job.revision, ""
                if job.record.state == JobState.WAITING:
                    self._waiting[job.record.id] = None  # it may have moved meanwhile

    def _moved(self, just_sent: list[JobRecord]) -> Iterator[JobEvent]:
        """Yield the waiting jobs whose position, or expected end, differs from what was sent."""
        forecast = self._queue.current()
        for job in just_sent:
            self._waiting.pop(job.id, None)
            if job.state == JobState.WAITING:
                expected = forecast.waiting.get(job.id)  # None if the forecast is older
                sent = _SentForecast(expected, forecast.time) if expected else None
                self._waiting[job.id] = sent
        if forecast is self._forecast:
            return
        self._forecast = forecast
        for id_, sent in self._waiting.items():
            expected, found = forecast.waiting.get(id_), self._view.find(id_)
            if expected is None or found is None or found.revision != self._sent[id_][0]:
                continue  # its own event is next
            if _has_moved(sent, expected, forecast.time) and self._tells(expected):
                self._waiting[id_] = _SentForecast(expected, forecast.time)
                yield JobEvent(self._event_id, found.record, is_new_state=False)

    def _tells(self, expected: Expected) -> bool:
        return self._names is not None or (expected.position or 0) <= _FOLLOWED_POSITIONS

    def _followed(self, jobs: Iterable[VersionedRecord]) -> Iterable[VersionedRecord]:
        if self._names is None:
            return jobs
        changed = {name for job in jobs for name in (job.record.id, song_alias(job.record.key))}
        return self._find(changed & self._names)

    def _find(self, names: Iterable[str]) -> Iterator[VersionedRecord]:
        for name in names:
            if found := self._view.find(name):
                yield found

    def _is_over(self, name: str) -> bool:
        found = self._view.find(name)
        if found is None or found.record.state not in FINISHED:
            return False
        revision, _ = self._sent.get(found.record.id, (0, ""))
        return revision == found.revision


def _has_moved(sent: _SentForecast | None, expected: Expected, time: str) -> bool:
    """Return whether the client has another position, or an end that is off by a quarter."""
    if sent is None or sent.expected.position != expected.position:
        return True
    before, left = sent.expected.seconds_left, expected.seconds_left
    if before is None or left is None:
        return before is not left
    shift = abs(before - seconds_between(sent.time, time) - left)
    return shift > max(_LEAST_SHIFT_S, left / 4)
