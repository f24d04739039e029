"""Run one job, from its event to its result document."""

import contextvars
import logging
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from msgspec import UNSET, structs

from functions.separate import reuse
from functions.separate.audio.decoder import DecodedSong, decode
from functions.separate.audio.download import ensure_unchanged, fetch
from functions.separate.context import Context
from functions.separate.engine import Floats, Model
from functions.separate.engine.locate import LocatedModel
from functions.separate.engine.overlap_add import Plan
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.work import estimate_work
from functions.separate.job import Job
from functions.separate.job_documents import (
    AudioMembers,
    StoredStems,
    failure_of,
    manifest_of,
    publish_for_callback,
)
from functions.separate.later_requests import LaterRequests
from functions.separate.lease import Lease
from functions.separate.on_progress import OnProgress
from functions.separate.outcome import Done, JobRejected, Outcome, Superseded, WaitingForRanges
from functions.separate.output.fence import SongFence
from functions.separate.output.stem_store import StemStore
from functions.separate.output.stems_writer import open_stems
from functions.separate.progress import ProgressReporter
from functions.separate.ranges.coordinator import RangeCoordinator
from functions.separate.record_writer import RecordWriter
from functions.separate.resources import retry_when_out_of_resources
from functions.separate.song_loudness import MeasuredSamples
from functions.separate.stems import choose_stems, make_plan, separate_song
from microdemucs.audio_tags import AudioTags, title_of
from microdemucs.bus import CANCELS, STARTED_SUBJECT
from microdemucs.jobs import JobRecord, JobState
from microdemucs.keys import fits, hash_in_key
from microdemucs.manifest import Failure, Manifest, failure_key
from microdemucs.messages import Started
from microdemucs.options import Options
from microdemucs.problems import Cancelled, Rejected, RetryLater, now
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)


def run_job(job: Job, context: Context) -> None:
    """Do what is left to do for `job`. If this returns, the event has been handled.

    Raises RetryLater if the event must come again.
    """
    lease = Lease(context.bus, job.song.key, owner=job.id)
    lease.take()
    try:
        with retry_when_out_of_resources():
            JobRunner(job, context, lease).run()
    finally:
        lease.release()


class JobRunner:
    """One run of a job, by the process that has the song's lease."""

    def __init__(self, job: Job, context: Context, lease: Lease) -> None:
        self.job = job
        self.context = context
        self.lease = lease
        self.songs = context.songs(job.song.bucket)
        fence = SongFence(lease, context.stems, job.song.key)
        self.stem_store = StemStore(context.stems, job, fence)
        self.coordinator = RangeCoordinator(
            job, context.stems, context.bus, context.range_seconds, context.song_concurrency
        )
        self.writer = RecordWriter(context.bus, lease, job.id, job.song.time)
        self.earlier_record = self.writer.earlier
        self.later_requests = LaterRequests(job, self.songs, self.stem_store, self.earlier_record)
        self.record = self._new_record()
        self.progress = ProgressReporter(
            context.bus,
            lease,
            self.record,
            context.grace_seconds,
            self.writer.write,
            event_time=job.song.time,
            check_song=partial(ensure_unchanged, self.songs, job.song),
        )

    def run(self) -> None:
        """Bring the job to an outcome and record it. Raises RetryLater."""
        try:
            if manifest := self.stem_store.read_own_manifest():
                self._record_done_before(manifest)
            elif failure := self.stem_store.read_own_failure():
                self._publish_for_callback(failure)
                if not self.later_requests.waits_after(failure.decided):
                    self._record_failed_before(failure)
            elif self.later_requests.have_overtaken():
                self._record_superseded()
            else:
                self._separate_and_record()
        finally:
            if not self.lease.is_lost:  # otherwise the previews are another process's
                with suppress(RetryLater, ObjectChanged):
                    self.stem_store.remove_previews()

    def _new_record(self) -> JobRecord:
        """Return the record of this run, with what an earlier run knew."""
        record = JobRecord.of(self.job.song, trace=self.job.trace, warnings=[*self.job.warnings])
        if earlier := self.earlier_record:
            record.created, record.started = earlier.created, earlier.started
            record.estimate = earlier.estimate
            record.trace = record.trace or earlier.trace
        return record

    def _separate_and_record(self) -> None:
        try:
            outcome = self._outcome()
            self.lease.confirm()
            match outcome:
                case Done(manifest):
                    self._publish_for_callback(manifest)
                    self._record_done(manifest)
                case JobRejected(Cancelled(time=time) as problem) if (
                    self.later_requests.waits_after(time)
                ):
                    self._publish_for_callback(failure_of(self.job, self.record, problem))
                    log.info("job left to a later event: its song was sent again")
                case JobRejected(Cancelled(time=time) as problem) if (
                    sent := self.later_requests.time_put_after(time)
                ):
                    self._publish_for_callback(failure_of(self.job, self.record, problem))
                    self._wait_for_later_event(sent)
                case JobRejected() as rejected:
                    self._record_rejected(rejected)
                case Superseded():
                    self._record_superseded()
                case WaitingForRanges():
                    self.progress.set_state(JobState.RUNNING)
        except Exception:  # the event comes again
            self.record.progress = 0.0
            self.progress.set_state(JobState.WAITING)
            raise

    def _outcome(self) -> Outcome:
        try:
            with self.progress.running():
                manifest = self._separate()
        except Rejected as problem:
            return Superseded() if self.later_requests.replaced_song() else JobRejected(problem)
        except ObjectChanged:
            return Superseded()
        return Done(manifest) if manifest else WaitingForRanges()

    def _wait_for_later_event(self, sent: str) -> None:
        """Record the job as waiting: it was cancelled, but its song was sent again since."""
        log.info("job cancelled and left to a later event: its song was sent again")
        self.progress.record = JobRecord.of(replace(self.job.song, time=sent), trace=self.job.trace)
        self.progress.set_state(JobState.WAITING)

    def _separate(self) -> Manifest | None:
        """Return the manifest, which is in the store then; None if ranges have been requested.

        Raises ObjectChanged if the song was removed or overwritten, Rejected, RetryLater.
        """
        options = self.job.options()
        weights = self.context.models.choose(options.model)
        loading = _load_in_background(self.context.models, weights)
        self._start(weights)
        # the file has no name: nothing is left of it, however the process ends
        with tempfile.TemporaryFile() as file:
            with self.progress.phase("downloading") as on_progress:
                limit = self.context.max_song_bytes
                sha256 = fetch(self.songs, self.job.song, file, limit, on_progress)
            _ensure_named_right(self.job.song.key, sha256)
            self.record.song = {"sha256": sha256}
            stems = self._reuse(sha256, options, weights) or self._write(file, options, loading)
        if not stems:
            return None
        manifest = manifest_of(self.job, self.record, sha256, stems, weights, self.progress.timings)
        self.lease.confirm()
        manifest = self.stem_store.finish(manifest)
        finished = reuse.FinishedJob(key=self.job.song.key, job=self.job.id)
        reuse.remember(self.context.bus, sha256, options, finished)
        return manifest

    def _start(self, weights: LocatedModel) -> None:
        """Record that the job runs; publish that too if it has not run before."""
        record = self.record
        is_first_run, record.started = not record.started, now()
        record.state, record.model = JobState.RUNNING, weights.name
        if weights.note:
            record.warnings = [*record.warnings, f"{weights.name}: {weights.note}"]
            log.warning("limited quality", extra={"model": weights.name, "note": weights.note})
        self.lease.confirm()
        if is_first_run:
            message = Started(
                job=self.job.id,
                song=self.job.stored_song(),
                options=record.options,
                model=weights.name,
                started=record.started,
                trace=record.trace,
            )
            self.context.bus.publish(STARTED_SUBJECT, message.write(), f"{self.job.id}:started")
        log.info("job started", extra={"key": self.job.song.key, "options": record.options})

    def _reuse(self, sha256: str, options: Options, weights: LocatedModel) -> StoredStems | None:
        """Copy what another job made of the same audio with the same options and model, if any.

        Raises ObjectChanged if the song itself was removed or overwritten.
        """
        earlier = reuse.find(self.context.bus, sha256, options)
        manifest = self.stem_store.read_manifest(earlier.key) if earlier else None
        if not earlier or not manifest:
            return None
        expected = (earlier.job, sha256, options.changed(), weights.name)
        if expected != (
            manifest.job,
            manifest.song.sha256,
            manifest.options,
            manifest.model.name,
        ):
            return None
        with self.progress.phase("uploading"):
            try:
                ensure_unchanged(self.songs, self.job.song)
                copies = self.stem_store.copy(manifest.stems, self._title_of_copies(manifest))
                peaks = self.stem_store.copy_unchanged(manifest.peaks)
                cover = self.stem_store.copy_unchanged(manifest.song.cover)
            except ObjectChanged:  # of the song itself, or of the other job's stems
                ensure_unchanged(self.songs, self.job.song)
                return None
        after_copying = self.stem_store.read_manifest(earlier.key)
        if not after_copying or after_copying.job != earlier.job:  # overwritten meanwhile
            return None
        log.info("stems reused", extra={"from": earlier.key})
        audio = AudioMembers.of(manifest.song, manifest.song.loudness, cover)
        return StoredStems(copies, audio, peaks, reused_from=earlier.key)

    def _title_of_copies(self, original: Manifest) -> Callable[[str], str] | None:
        """Return what gives the copied stems their titles; None if they keep those they have."""
        name = PurePosixPath(self.job.song.key).stem
        has_title = bool(original.song.tags and original.song.tags.get("title"))
        if has_title or name == PurePosixPath(original.song.key).stem:
            return None
        return partial(title_of, {}, name)

    def _write(
        self, file: BinaryIO, options: Options, loading: Future[Model]
    ) -> StoredStems | None:
        """Separate the song and write its stems; None if ranges have been requested."""
        progress = self.progress
        with ExitStack() as stack:
            with progress.phase("decoding") as on_progress:
                limit = self.context.max_song_seconds
                decoded = stack.enter_context(
                    decode(
                        file,
                        limit,
                        on_progress,
                        front_only=options.channels == "front",
                        allow_truncated=options.allow_truncated,
                    )
                )
            loudness = stack.enter_context(MeasuredSamples(decoded.samples, decoded.length))
            song = replace(decoded, samples=loudness)
            facts = {"seconds": round(song.seconds, 3), "tags": song.audio.tags}
            self.record.song = self.record.song | facts
            self.record.warnings = [*self.record.warnings, *song.warnings]
            self.stem_store.remove_previews()  # of a run that was killed
            with progress.phase("separating") as on_progress:
                model = loading.result()
                stems = choose_stems(model, options)
                on_progress = self._estimate(model, len(stems), song.length, options, on_progress)
                plan = make_plan(model, song.length, options, self.job.id)
                blocks = self._blocks(song, loudness, plan, on_progress)
                if blocks is None:
                    return None
                quality = self.context.mp3_quality
                writer = stack.enter_context(
                    open_stems(
                        self.stem_store, stems, options, song.length, quality, self._tags_of(song)
                    )
                )
                for block in blocks:
                    progress.block_separated()
                    loudness.start()
                    writer.write(block)
                    self._update_estimate()
                    progress.set_reencode_seconds(song.seconds * len(writer.needing_reencoding))
                on_progress(1.0)
                writer.wait()
                self._update_estimate()
            with progress.phase("uploading") as on_progress:
                writer.reencode(on_progress)
                ensure_unchanged(self.songs, self.job.song)
                entries, peaks = writer.finish(), writer.finish_peaks()
                cover = self.stem_store.write_cover(song.cover) if song.cover else UNSET
                found = replace(song.audio, seconds=song.seconds)
                measured = loudness.finish()
                audio = AudioMembers.of(found, UNSET if measured is None else measured, cover)
                return StoredStems(entries, audio, peaks)

    def _estimate(
        self, model: Model, stems: int, length: int, options: Options, on_progress: OnProgress
    ) -> OnProgress:
        """Record how much work the job is; return a callback that measures how long it takes.

        Raises Rejected if it is more work than one job may be.
        """
        estimate = estimate_work(model, stems, length, options)
        self.context.work_limit.check(estimate, options)
        self.record.estimate = estimate
        self._update_estimate()
        return self.context.speed.measure(self.record.model, estimate.network_seconds, on_progress)

    def _update_estimate(self) -> None:
        """Record how long the separation takes by the latest measurement."""
        if estimate := self.record.estimate:
            seconds = self.context.speed.expected_seconds(
                self.record.model, estimate.network_seconds
            )
            self.record.estimate = structs.replace(estimate, seconds=seconds)

    def _tags_of(self, song: DecodedSong) -> Callable[[str], AudioTags]:
        name = PurePosixPath(self.job.song.key).stem

        def tags_of(stem: str) -> AudioTags:
            return AudioTags.of_song(song.audio.tags, name, stem, song.cover)

        return tags_of

    def _blocks(
        self, song: DecodedSong, loudness: MeasuredSamples, plan: Plan, on_progress: OnProgress
    ) -> Iterator[Floats] | None:
        """Return the song's sources, block by block; None if ranges have been requested."""
        ranges = self.coordinator.divide(plan)
        if len(ranges) == 1:
            return separate_song(song, plan, on_progress)
        self.lease.confirm()
        if self.coordinator.request_missing(ranges, song.audio):
            return None
        loudness.read_all()
        return self.coordinator.join(ranges, plan, song.normalization)

    def _record_done(self, manifest: Manifest) -> None:
        record, song = self.record, manifest.song
        record.progress = 1.0
        record.started, record.finished = manifest.started, manifest.finished
        record.model, record.warnings = manifest.model.name, manifest.warnings
        record.song = song.facts
        record.stems = [stem.file for stem in manifest.stems]
        self._end(JobState.DONE)
        log.info("job done", extra={"timings": manifest.timings})

    def _record_done_before(self, manifest: Manifest) -> None:
        self._publish_for_callback(manifest)
        log.info("job was done before", extra={"key": self.job.song.key})
        self._record_done(manifest)

    def _record_rejected(self, rejected: JobRejected) -> None:
        problem = rejected.problem
        failure = failure_of(self.job, self.record, problem)
        if fits(failure_key(self.job.song.key)):
            failure = self.stem_store.fail(failure)
        self._publish_for_callback(failure)
        self.record.problem, self.record.finished = failure.problem, failure.finished
        self._end(rejected.state)
        event = "job cancelled" if rejected.state == JobState.CANCELLED else "job rejected"
        log.info(event, extra={"kind": problem.kind, "why": problem.detail})

    def _record_failed_before(self, failure: Failure) -> None:
        log.info("job had failed before", extra={"key": self.job.song.key})
        self.record.problem = failure.problem
        self.record.started, self.record.finished = failure.started, failure.finished
        self._end(JobState.CANCELLED if failure.is_cancelled else JobState.FAILED)

    def _record_superseded(self) -> None:
        log.info("job superseded: its song was removed or replaced")
        problem = Rejected(
            "superseded",
            "The job was superseded",
            "its song was removed, or sent again as another job, before this one was done",
        )
        self._publish_for_callback(failure_of(self.job, self.record, problem))
        self.record.finished = now()
        self._end(JobState.SUPERSEDED)

    def _end(self, state: JobState) -> None:
        """Publish the job's last state; delete its cancel request and the results of its ranges."""
        self.progress.set_state(state)
        with suppress(RetryLater):
            self._delete_cancel_request()
        self.coordinator.clean_up()

    def _delete_cancel_request(self) -> None:
        """Delete a request that came too late or has been met: it is not for the job's next run."""
        if self.context.bus.is_up and self.context.bus.get(CANCELS, self.job.id):
            self.context.bus.delete(CANCELS, self.job.id)

    def _publish_for_callback(self, result: Manifest | Failure) -> None:
        if self.job.callback:
            self.lease.confirm()
            publish_for_callback(self.context.bus, self.job, result)


def _load_in_background(models: ModelRegistry, weights: LocatedModel) -> Future[Model]:
    """Load a model while its song is downloaded and decoded."""
    thread = ThreadPoolExecutor(1)
    context = contextvars.copy_context()  # so that the thread's log lines name the job too
    loading = thread.submit(context.run, models.load, weights)
    thread.shutdown(wait=False)
    return loading


def _ensure_named_right(song_key: str, sha256: str) -> None:
    """Raise Rejected if the song's key says that it has another SHA-256.

    The REST API serves the stems of such a song to everybody who sends the song that has it.
    """
    if hash_in_key(song_key) not in ("", sha256):
        raise Rejected(
            "wrong-hash",
            "The song is not the one that its key names",
            f"its SHA-256 is {sha256}: put it at another key, or send it to POST /apiv1/separate",
        )
