"""A song in several requests: its ranges are asked for, and joined once all are there.

A message on the bus asks for each range; whoever finishes the last one has the song come again,
and then it is joined. All that is known meanwhile lies in the bucket and on the bus, so a process
that is killed costs what it had of its own range.
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress

from minio import Minio

from functions.separate.audio.decoder import DecodedSong
from functions.separate.engine import Floats
from functions.separate.engine.overlap_add import Plan, joined
from functions.separate.job import Job
from functions.separate.ranges.partition import Range, cut
from functions.separate.ranges.store import RangeStore
from microdemucs.bus import RANGE_SUBJECT, REQUEUE_SUBJECT, Bus
from microdemucs.events import record_of
from microdemucs.problems import RetryLater

log = logging.getLogger(__name__)


class Divided(Exception):
    """The song is not done: its ranges are on their way."""


class RangeCoordinator:
    """How one job is divided. A range is at most `seconds` long (0: a song is one range), and
    `at_once` of a song's ranges may be in work. Methods raise RetryLater.
    """

    def __init__(
        self, job: Job, store: Minio, bucket: str, bus: Bus, seconds: float, at_once: int
    ) -> None:
        self.files = RangeStore(store, bucket, job.id)
        self._job = job
        self._bus = bus
        self._seconds = seconds
        self._at_once = at_once

    def parts(self, plan: Plan) -> list[Range]:
        """The ranges of `plan`."""
        return cut(plan, self._seconds, self._at_once)

    def blocks(self, song: DecodedSong, plan: Plan) -> Iterator[Floats] | None:
        """The song's sources at its own level, from its ranges; None where it is not divided.

        Raises Divided, once those that are missing are asked for.
        """
        parts = self.parts(plan)
        if len(parts) == 1:
            return None
        there = self.files.there(parts)
        missing = [part for part in parts if part not in there]
        if missing:
            for part in missing:
                self._ask(part, song)
            log.info("divided", extra={"ranges": len(parts), "missing": len(missing)})
            raise Divided
        results = (self.files.read(part, len(plan.model.sources)) for part in parts)
        return map(song.restored, joined(plan, [part.windows for part in parts], results))

    def come_again(self) -> None:
        """Have the song come again, since its ranges are there, or cannot be."""
        number = f"{time.time_ns():x}"
        record = record_of(self._job.song, f"again-{number}")
        said = {"Records": [record], "trace": self._job.trace}
        message = json.dumps(said, ensure_ascii=False).encode()
        self._bus.publish(REQUEUE_SUBJECT, message, f"{self._job.id}.{number}")

    def end(self) -> None:
        """The job is over: nothing of its ranges is needed, also where songs were divided when it
        began and are not any more. What a store that is away keeps does no harm."""
        with suppress(RetryLater):
            self.files.clear()

    def _ask(self, part: Range, song: DecodedSong) -> None:
        name = f"{self._job.id}.{part.plan}.{part.number}"
        said = {
            "id": name,
            "song": record_of(self._job.song, name),
            "range": part.said(),
            "at_once": self._at_once,
            "heard": song.heard,
            "trace": self._job.trace,
        }
        message = json.dumps(said, ensure_ascii=False).encode()
        # the same song put again asks anew
        self._bus.publish(RANGE_SUBJECT, message, f"{name}.{self._job.song.time}")
