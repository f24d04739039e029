"""The life of one job, from the event to its mark beside the song."""

import contextvars
import json
import logging
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any, BinaryIO

from functions.separate.audio import download
from functions.separate.audio.decoder import decoded
from functions.separate.context import Context, retry_when_out_of_resources
from functions.separate.engine import Model
from functions.separate.engine.registry import ModelRegistry, Weights
from functions.separate.job import Job
from functions.separate.lease import Lease
from functions.separate.output.stem_store import Document, StemStore
from functions.separate.output.stems_writer import writing
from functions.separate.progress import Cancelled, ProgressReporter
from functions.separate.ranges.coordinator import Divided
from functions.separate.stems import estimates, planned, wanted
from microdemucs.bus import CANCELS, JOBS, RESULTS, STARTED_SUBJECT
from microdemucs.jobs import JobRecord, JobState, options_hash
from microdemucs.manifest import failure_key
from microdemucs.options import Options
from microdemucs.problems import Rejected, RetryLater, now
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)

_LONGEST_KEY = 1024  # bytes, in S3


def run_job(job: Job, tools: Context) -> None:
    """Do what is left to do for `job`; when this returns, the event is dealt with.

    Raises RetryLater where it must come again.
    """
    lease = Lease(tools.bus, job.song.key, owner=job.id)
    lease.take()
    try:
        with retry_when_out_of_resources():
            JobRunner(job, tools, lease).run()
    finally:
        lease.release()


def _meanwhile(models: ModelRegistry, weights: Weights) -> Future[Model]:
    """Load a model while its song is fetched and decoded."""
    thread = ThreadPoolExecutor(1)
    # so that its lines too say which job
    loading = thread.submit(contextvars.copy_context().run, models.load, weights)
    thread.shutdown(wait=False)
    return loading


class JobRunner:
    def __init__(self, job: Job, tools: Context, lease: Lease) -> None:
        self.job = job
        self.tools = tools
        self.lease = lease
        self.shelf = StemStore(tools.store, tools.stems, job)
        self.division = tools.division(job)
        self.record = self._last_record()
        self.report = ProgressReporter(tools.bus, lease, self.record, tools.grace)

    def run(self) -> None:
        try:
            if done := self.shelf.done():
                self._already_done(done)
            elif failure := self.shelf.refused():
                self._already_refused(failure)
            else:
                self._work()
            self.division.end()
        except Divided:
            self.report.state(JobState.RUNNING)
        finally:
            if not self.lease.lost.is_set():  # then they are another's
                with suppress(RetryLater, ObjectChanged):
                    self.shelf.clear_pieces()

    def _last_record(self) -> JobRecord:
        record = JobRecord.of(self.job.song, trace=self.job.trace)
        found = self.tools.bus.get(JOBS, self.job.id)
        if found and found.value:
            last = JobRecord.read(found.value)
            record.created, record.started = last.created, last.started
            record.trace = record.trace or last.trace
        return record

    def _work(self) -> None:
        try:
            try:
                with self.report.running():
                    manifest = self._separate()
                self._tell_done(manifest)
            except Rejected as refused:
                self._refuse(refused)
        except ObjectChanged:
            log.info("superseded")
            self.report.state(JobState.SUPERSEDED)
        except Divided:
            raise
        except Exception:  # the event comes again
            self.record.progress = 0.0
            self.report.state(JobState.WAITING)
            raise

    def _separate(self) -> Document:
        """The manifest, once it is in the store. Raises Divided."""
        options = self.job.options()
        weights = self.tools.models.choose(options.model)
        loading = _meanwhile(self.tools.models, weights)
        self._start(weights)
        # nameless: nothing is left of it however the process ends
        with tempfile.TemporaryFile() as file:
            with self.report.phase("downloading") as step:
                song, limit = self.job.song, self.tools.max_bytes
                sha256 = download.fetch(self.tools.store, song, file, limit, step)
            self.record.song = {"sha256": sha256}
            result = f"{sha256}.{options_hash(options)}"
            reused = self._reuse(result, options, weights)
            made = reused or self._make(file, options, loading)
        song_known = self.job.described() | self.record.song
        model = {"name": weights.name} | ({"note": weights.note} if weights.note else {})
        manifest = self._document() | made | {"song": song_known, "model": model}
        manifest |= {"warnings": self.record.warnings, "timings": self.report.timings}
        manifest["finished"] = now()
        self.shelf.finish(manifest)
        if self.tools.bus.is_up:
            with suppress(RetryLater):  # the next one with this song does the work again
                where = {"key": self.job.song.key, "job": self.job.id}
                self.tools.bus.put(RESULTS, result, json.dumps(where).encode())
        return manifest

    def _start(self, weights: Weights) -> None:
        record = self.record
        told_before, record.started = bool(record.started), now()
        record.state, record.model = JobState.RUNNING, weights.name
        if weights.note:
            record.warnings = [f"{weights.name}: {weights.note}"]
            log.warning("limited quality", extra={"model": weights.name, "note": weights.note})
        if not told_before:
            members = ("job", "song", "options", "started", "trace")
            said = {name: self._document()[name] for name in members} | {"model": weights.name}
            message = json.dumps(said, ensure_ascii=False).encode()
            self.tools.bus.publish(STARTED_SUBJECT, message, f"{self.job.id}:started")
        log.info("started", extra={"key": self.job.song.key, "options": record.options})

    def _reuse(self, result: str, options: Options, weights: Weights) -> dict[str, Any] | None:
        """What another job made of the same audio with the same options, copied; or None."""
        found = self.tools.bus.get(RESULTS, result)
        if not found or not found.value:
            return None
        where = json.loads(found.value)
        there = self.shelf.manifest(where["key"])
        if not there or not self._is_same(there, where["job"], options, weights):
            return None
        with self.report.phase("uploading"):
            try:
                download.ensure_current(self.tools.store, self.job.song)
                stems = self.shelf.copy(there["stems"])
            except ObjectChanged:  # the song itself, or the stems since they were looked at
                download.ensure_current(self.tools.store, self.job.song)
                return None
        again = self.shelf.manifest(where["key"])
        if not again or again["job"] != where["job"]:  # overwritten while it was copied
            return None
        self.record.song = self.record.song | {"seconds": there["song"]["seconds"]}
        log.info("reused", extra={"from": where["key"]})
        return {"stems": stems, "reused_from": where["key"]}

    def _is_same(self, manifest: Document, job: str, options: Options, weights: Weights) -> bool:
        """Whether a manifest is what it was when it was noted, and by today's default model."""
        said = manifest["job"], manifest["options"], manifest["model"]["name"]
        heard = manifest["song"].get("sha256")
        return (*said, heard) == (job, options.changed(), weights.name, self.record.song["sha256"])

    def _make(self, file: BinaryIO, options: Options, loading: Future[Model]) -> dict[str, Any]:
        report = self.report
        with ExitStack() as opened:
            with report.phase("decoding") as step:
                song = opened.enter_context(decoded(file, self.tools.max_seconds, step))
            self.record.song = self.record.song | {"seconds": round(song.seconds, 3)}
            self.record.warnings = [*self.record.warnings, *song.warnings]
            self.shelf.clear_pieces()  # of one that was killed
            with report.phase("separating") as step:
                model = loading.result()
                stems = wanted(model, options)
                plan = planned(model, song.length, options, self.job.id)
                blocks = self.division.blocks(song, plan) or estimates(song, plan, step)
                files = opened.enter_context(
                    writing(self.shelf, stems, options, song.length, self.tools.mp3_quality)
                )
                for block in blocks:
                    report.block()
                    files.write(block)
                    report.again = song.seconds * len(files.loud)
                files.wait()
            with report.phase("uploading") as step:
                files.finish_loud(step)
                download.ensure_current(self.tools.store, self.job.song)
                return {"stems": files.finish()}

    def _document(self) -> Document:
        """What manifest.json and failure.json both say."""
        return {
            "job": self.job.id,
            "trace": self.record.trace,
            "song": self.job.described(),
            "options": self.record.options,
            "callback": self.job.callback,
            "created": self.record.created,
            "started": self.record.started,
        }

    def _refuse(self, refused: Rejected) -> None:
        cancelled = isinstance(refused, Cancelled)
        document = self._document() | {"finished": now()}
        if len(failure_key(self.job.song.key).encode()) <= _LONGEST_KEY:
            download.ensure_current(self.tools.store, self.job.song)
            self.shelf.refuse(refused, document)
        self.record.problem, self.record.finished = refused.body(), document["finished"]
        self.report.state(JobState.CANCELLED if cancelled else JobState.FAILED)
        log.info("refused", extra={"kind": refused.kind, "why": refused.detail})
        if cancelled:  # it is told; the same song may be sent again
            with suppress(RetryLater):
                self.tools.bus.delete(CANCELS, self.job.id)

    def _already_done(self, manifest: Document) -> None:
        if self.job.callback and self.job.callback != manifest["callback"]:
            manifest |= {"callback": self.job.callback, "finished": now()}
            self.shelf.mark(manifest)  # so that its owner is told
        log.info("done before", extra={"key": self.job.song.key})
        self._tell_done(manifest)

    def _already_refused(self, failure: Document) -> None:
        log.info("refused before", extra={"key": self.job.song.key})
        self.record.problem = {
            name: failure[name] for name in ("type", "title", "status", "detail") if name in failure
        }
        self.record.started, self.record.finished = failure["started"], failure["finished"]
        cancelled = failure["type"].endswith(":cancelled")
        self.report.state(JobState.CANCELLED if cancelled else JobState.FAILED)

    def _tell_done(self, manifest: Document) -> None:
        record, song = self.record, manifest["song"]
        record.progress = 1.0
        record.started, record.finished = manifest["started"], manifest["finished"]
        record.model, record.warnings = manifest["model"]["name"], manifest["warnings"]
        record.song = {name: song[name] for name in ("sha256", "seconds")}
        record.stems = [stem["key"].rsplit("/", 1)[1] for stem in manifest["stems"]]
        self.report.state(JobState.DONE)
        log.info("done", extra={"timings": manifest["timings"]})
