"""Coordinate the ranges of a song that several requests separate.

A message on the bus requests each range. Whoever separates the last one requeues the song, and
then the ranges are joined. The bucket and the bus keep all state, so a process that is killed
costs only the work on its own range.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from functions.separate.audio.normalization import Normalization
from functions.separate.engine import Floats
from functions.separate.engine.overlap_add import Plan, join_ranges
from functions.separate.job import Job
from functions.separate.ranges.partition import Range, divide
from functions.separate.ranges.store import RangeStore
from microdemucs.audio_facts import AudioFacts
from microdemucs.bucket import Bucket
from microdemucs.bus import RANGE_SUBJECT, REQUEUE_SUBJECT, Bus
from microdemucs.events import record_of
from microdemucs.messages import RangeRequest, Requeue
from microdemucs.problems import RetryLater

log = logging.getLogger(__name__)


class RangeCoordinator:
    """The ranges of one job. Methods raise RetryLater.

    A range is at most `range_seconds` long (0: a song is one range), and at most `at_once` ranges
    of a song are in work at a time.
    """

    def __init__(
        self, job: Job, stems: Bucket, bus: Bus, range_seconds: float, at_once: int
    ) -> None:
        self.results = RangeStore(stems, job.id)
        self._job = job
        self._bus = bus
        self._range_seconds = range_seconds
        self._at_once = at_once

    def divide(self, plan: Plan) -> list[Range]:
        """Return the ranges of `plan`; a single one if the song is not divided."""
        return divide(plan, self._range_seconds, self._at_once)

    def request_missing(self, ranges: Sequence[Range], audio: AudioFacts) -> int:
        """Request those of `ranges` that have no result, and return how many that are."""
        existing = self.results.existing(ranges)
        missing = [range_ for range_ in ranges if range_ not in existing]
        for range_ in missing:
            self._request(range_, audio)
        if missing:
            log.info("ranges requested", extra={"ranges": len(ranges), "missing": len(missing)})
        return len(missing)

    def join(
        self, ranges: Sequence[Range], plan: Plan, normalization: Normalization
    ) -> Iterator[Floats]:
        """Yield [sources, 2, n] in order: the song's sources at its own level.

        Raises RetryLater also if a result is gone: the song then comes again and requests it.
        """
        results = (self.results.read(range_, len(plan.model.sources)) for range_ in ranges)
        blocks = join_ranges(plan, [range_.windows for range_ in ranges], results)
        return map(normalization.denormalize, blocks)

    def requeue_song(self) -> None:
        """Publish the job again: its ranges are separated, or cannot be."""
        unique = f"{time.time_ns():x}"
        message = Requeue.of(self._job.song, f"again-{unique}", self._job.trace)
        self._bus.publish(REQUEUE_SUBJECT, message.write(), f"{self._job.id}.{unique}")

    def clean_up(self) -> None:
        """Delete the results of the job's ranges, even if songs are no longer divided.

        Best effort: what is left over is harmless.
        """
        with suppress(RetryLater):
            self.results.remove_all()

    def _request(self, range_: Range, audio: AudioFacts) -> None:
        name = f"{self._job.id}.{range_.plan}.{range_.number}"
        request = RangeRequest(
            id=name,
            song=record_of(self._job.song, name),
            range=range_.id,
            at_once=self._at_once,
            audio=audio,
            trace=self._job.trace,
        )
        # with the time, so that the bus does not drop the request if the same song is put again
        message_id = f"{name}.{self._job.song.time}"
        self._bus.publish(RANGE_SUBJECT, request.write(), message_id)
