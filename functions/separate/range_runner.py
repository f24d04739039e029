"""The life of one range of a song, from its event to its result in the bucket.

It decides nothing about the job: where the song cannot be separated, was cancelled or is another
one now, the song comes again, and its own life says so.
"""

import logging
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from functions.separate.audio import download
from functions.separate.audio.decoder import continued
from functions.separate.context import Context, retry_when_out_of_resources
from functions.separate.engine.overlap_add import Plan, separate
from functions.separate.job import Job
from functions.separate.lease import Lease
from functions.separate.output.stem_store import StemStore
from functions.separate.progress import ProgressReporter
from functions.separate.ranges.coordinator import RangeCoordinator
from functions.separate.ranges.partition import Range
from functions.separate.stems import planned
from microdemucs.bus import JOBS, RevisionConflict
from microdemucs.jobs import PHASES, JobRecord, JobState
from microdemucs.problems import Problem, Rejected, RetryLater, now
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)


def run_range(job: Job, tools: Context) -> None:
    """Separate the range that `job.part` speaks of; when this returns, it is dealt with.

    Raises RetryLater where it must come again.
    """
    part = job.part or {}
    try:
        number, plan, heard = part["range"]["number"], part["range"]["plan"], part["heard"]
    except (KeyError, TypeError) as error:
        raise Problem(400, "no-range", "The event speaks of no range of a song") from error
    shelf, division = StemStore(tools.store, tools.stems, job), tools.division(job)
    if shelf.done() or shelf.refused():
        division.end()
        return
    lease = Lease(tools.bus, f"{job.id}/{number}", owner=job.id)
    lease.take()
    try:
        with retry_when_out_of_resources():
            RangeRunner(job, tools, lease, division, heard).run(number, plan)
    except (Rejected, ObjectChanged) as why:
        log.info("range given back", extra={"range": number, "why": str(why)})
        division.come_again()
    finally:
        lease.release()


class RangeRunner:
    def __init__(
        self,
        job: Job,
        tools: Context,
        lease: Lease,
        division: RangeCoordinator,
        heard: Mapping[str, Any],
    ) -> None:
        self.job = job
        self.tools = tools
        self.division = division
        self.heard = dict(heard)
        self.report = _RangeProgressReporter(tools.bus, lease, JobRecord.of(job.song), tools.grace)

    def run(self, number: int, name: str) -> None:
        with self.report.running():
            options = self.job.options()
            models = self.tools.models
            model = models.load(models.choose(options.model))
            plan = planned(model, self.heard["length"], options, self.job.id)
            parts = self.division.parts(plan)
            if number >= len(parts) or parts[number].plan != name:
                log.info("range of another plan", extra={"range": number})
                self.division.come_again()
                return
            part, there = parts[number], self.division.files.there(parts)
            self.report.span = _span(len(there) - (part in there), len(parts))
            if part not in there:
                self._separate(plan, part)
        self.report.finished()
        if len(self.division.files.there(parts)) == len(parts):
            self.division.come_again()

    def _separate(self, plan: Plan, part: Range) -> None:
        report, tools = self.report, self.tools
        log.info("range started", extra={"range": part.number, "of": part.of})
        with tempfile.TemporaryFile() as file:
            with report.phase("downloading") as step:
                download.fetch(tools.store, self.job.song, file, tools.max_bytes, step)
            begins = max(0, plan.windows[part.first][0] - plan.history())
            with (
                report.phase("separating") as step,
                continued(file, tools.max_seconds, self.heard, begins) as song,
            ):
                mix = song.normalised(plan.history())
                blocks = separate(plan, mix.read, step, part.windows)
                self.division.files.write(part, blocks)
        log.info("range done", extra={"range": part.number, "timings": report.timings})


def _span(done: int, of: int) -> tuple[float, float]:
    """How far along the job is before and after one more range."""
    begin, end = PHASES["separating"]
    width = (end - begin) / of
    return begin + done * width, begin + (done + 1) * width


class _RangeProgressReporter(ProgressReporter):
    """Tells of the job only that it goes on: others work on it, too."""

    def finished(self) -> None:
        """All of this range is there."""
        self.record.progress = max(self.record.progress, self.span[1])
        self._put()

    def _put(self) -> None:
        if not self._bus.is_up:
            return
        with suppress(RetryLater, RevisionConflict):  # the next second tells more
            entry = self._bus.get(JOBS, self.record.id)
            if not entry or not entry.value:
                return
            told = JobRecord.read(entry.value)
            if told.state == JobState.RUNNING and told.progress < self.record.progress:
                told.progress, told.phase = self.record.progress, "separating"
                told.updated = now()
                self._bus.update(JOBS, told.id, told.write(), entry.revision)
