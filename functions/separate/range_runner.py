"""Run one range of a song, from its event to its result in the output bucket.

A range never decides the job's outcome. If the song is invalid, cancelled or replaced, the whole
song is requeued, and its own run finds out and records it.
"""

import logging
import tempfile
from contextlib import suppress
from functools import partial

from msgspec import structs

from functions.separate.audio.decoder import decode_from
from functions.separate.audio.download import ensure_unchanged, fetch
from functions.separate.context import Context
from functions.separate.engine.overlap_add import Plan, separate_windows
from functions.separate.engine.work import estimate_work
from functions.separate.job import Job, UnreadableRange
from functions.separate.job_documents import publish_for_callback
from functions.separate.lease import Lease
from functions.separate.on_progress import OnProgress
from functions.separate.output.fence import LeaseFence
from functions.separate.output.stem_store import StemStore
from functions.separate.progress import ProgressReporter
from functions.separate.ranges.coordinator import RangeCoordinator
from functions.separate.ranges.partition import Range
from functions.separate.resources import retry_when_out_of_resources
from functions.separate.stems import choose_stems, make_plan
from microdemucs.bus import JOBS, Bus, RevisionConflict
from microdemucs.jobs import PHASES, JobRecord, JobState
from microdemucs.messages import RangeRequest
from microdemucs.problems import Rejected
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)


def run_range(job: Job, request: RangeRequest | UnreadableRange, context: Context) -> None:
    """Separate one range of the job's song. If this returns, the event has been handled.

    Raises RetryLater if the event must come again.
    """
    coordinator = RangeCoordinator(
        job, context.stems, context.bus, context.range_seconds, context.song_concurrency
    )
    stem_store = StemStore(context.stems, job)
    if result := stem_store.read_own_manifest() or stem_store.read_own_failure():
        publish_for_callback(context.bus, job, result)
        coordinator.clean_up()
        return
    if isinstance(request, UnreadableRange):
        log.info("song requeued: range cannot be read", extra={"why": request.reason})
        coordinator.requeue_song()
        return
    lease = Lease(context.bus, f"{job.id}/{request.range.number}", owner=job.id)
    lease.take()
    try:
        with retry_when_out_of_resources():
            RangeRunner(job, request, context, lease, coordinator).run()
    except (Rejected, ObjectChanged) as error:
        number = request.range.number
        log.info("song requeued: range ended", extra={"range": number, "why": str(error)})
        coordinator.requeue_song()
    finally:
        lease.release()


class RangeRunner:
    """One run of a range, by the process that has the range's lease."""

    def __init__(
        self,
        job: Job,
        request: RangeRequest,
        context: Context,
        lease: Lease,
        coordinator: RangeCoordinator,
    ) -> None:
        self.job = job
        self.request = request
        self.context = context
        self.coordinator = coordinator
        record = JobRecord.of(job.song)
        self.progress = ProgressReporter(
            context.bus,
            lease,
            record,
            context.grace_seconds,
            partial(publish_range_progress, context.bus),
            event_time=job.song.time,
            check_song=partial(ensure_unchanged, context.songs(job.song.bucket), job.song),
        )
        self.lease = lease

    def run(self) -> None:
        """Store the range's result; requeue the song if it is the last one.

        Raises Rejected, ObjectChanged, RetryLater.
        """
        results = self.coordinator.results
        with self.progress.running():
            plan = self._plan()
            ranges = self.coordinator.divide(plan)
            range_ = next((r for r in ranges if r.id == self.request.range), None)
            if not range_:
                number = self.request.range.number
                log.info("song requeued: range of another plan", extra={"range": number})
                self.coordinator.requeue_song()
                return
            existing = results.existing(ranges)
            self.progress.set_range(*_progress_range(len(set(existing) - {range_}), len(ranges)))
            if range_ not in existing:
                self._separate(plan, range_)
        self.progress.complete()
        self.lease.confirm()
        if len(results.existing(ranges)) == len(ranges):
            self.coordinator.requeue_song()

    def _plan(self) -> Plan:
        options = self.job.options()
        models = self.context.models
        model = models.load(models.choose(options.model))
        length = self.request.audio.length
        estimate = estimate_work(model, len(choose_stems(model, options)), length, options)
        self.context.work_limit.check(estimate, options)
        self.progress.record.estimate = estimate
        return make_plan(model, length, options, self.job.id)

    def _separate(self, plan: Plan, range_: Range) -> None:
        context, progress = self.context, self.progress
        log.info("range started", extra={"range": range_.number, "of": range_.of})
        with tempfile.TemporaryFile() as file:
            with progress.phase("downloading") as on_progress:
                songs = context.songs(self.job.song.bucket)
                fetch(songs, self.job.song, file, context.max_song_bytes, on_progress)
            start = max(0, plan.windows[range_.first].start - plan.history())
            with (
                progress.phase("separating") as on_progress,
                decode_from(
                    file,
                    context.max_song_seconds,
                    self.request.audio,
                    start,
                    front_only=self.job.options().channels == "front",
                ) as song,
            ):
                mix = song.normalized(plan.history())
                on_progress = self._measured(plan, range_, on_progress)
                blocks = separate_windows(plan, mix.read, on_progress, range_.windows)
                self.coordinator.results.write(range_, blocks, LeaseFence(self.lease))
                on_progress(1.0)
        log.info("range done", extra={"range": range_.number, "timings": progress.timings})

    def _measured(self, plan: Plan, range_: Range, on_progress: OnProgress) -> OnProgress:
        """Return a callback that measures the range and estimates how long the whole job takes.

        The estimate is for one process that separates all ranges.
        """
        speed, record, model = self.context.speed, self.progress.record, plan.model.name
        measured = speed.measure(model, plan.network_seconds(range_.windows), on_progress)

        def on_range_progress(share: float) -> None:
            measured(share)
            if estimate := record.estimate:
                seconds = speed.expected_seconds(model, estimate.network_seconds)
                record.estimate = structs.replace(estimate, seconds=seconds)

        return on_range_progress


def publish_range_progress(bus: Bus, record: JobRecord) -> None:
    """Raise the progress of a running job, and its estimate: other ranges run beside this.

    Raises RetryLater.
    """
    entry = bus.get(JOBS, record.id)
    if not entry or not entry.value:
        return
    published = JobRecord.read_or_none(entry.value)
    if not published:
        return
    if published.state == JobState.RUNNING and published.progress < record.progress:
        published.progress, published.phase = record.progress, "separating" if record.phase else ""
        published.estimate = record.estimate or published.estimate
        published.updated = record.updated
        with suppress(RevisionConflict):  # another range was first; the next second tries again
            bus.update(JOBS, published.id, published.write(), entry.revision)


def _progress_range(done: int, of: int) -> tuple[float, float]:
    """Return the job's progress before and after one more range."""
    start, end = PHASES["separating"]
    width = (end - start) / of
    return start + done * width, start + (done + 1) * width
