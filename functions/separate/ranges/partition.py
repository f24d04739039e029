"""Divide the windows of a plan into ranges, each of which one request separates. Pure.

A request may not take for ever, and several processes may share a song. Each range is requested by
a message of its own. Its result is an object until all ranges are separated; then they are joined.
"""

import hashlib
import json
import math
from dataclasses import dataclass

from functions.separate.engine.overlap_add import Plan
from microdemucs.messages import RangeId
from microdemucs.options import Options

_SHORTEST_S = 20.0  # with less, a process spends its time on starting and stopping


@dataclass(frozen=True, slots=True)
class Range:
    """Range `number` (from 0) `of` so many: the plan's windows from `first` up to `stop`.

    `plan` identifies the plan and how it is divided: the results of ranges with another `plan`
    (another model or other settings) do not fit.
    """

    number: int
    of: int
    plan: str
    first: int
    stop: int

    @property
    def windows(self) -> slice:
        """Its windows, among those of the plan."""
        return slice(self.first, self.stop)

    @property
    def id(self) -> RangeId:
        """What a message says to identify it."""
        return RangeId(self.number, self.of, self.plan)


def divide(plan: Plan, seconds: float, at_once: int) -> list[Range]:
    """Return the ranges of `plan`; a single one if one request separates the song.

    Each range costs at most `seconds` of audio for one network at the default overlap (0: no
    limit). Up to `at_once` ranges are made for parallelism, none shorter than 20 s.
    """
    stride_share = 1 - Options().overlap
    work = plan.network_seconds() * stride_share
    needed = math.ceil(work / seconds) if seconds else 1
    shared = min(at_once, int(work / _SHORTEST_S))
    count = min(max(1, needed, shared), len(plan.windows))
    edges = [len(plan.windows) * number // count for number in range(count + 1)]
    name = _plan_id(plan, count)
    return [Range(k, count, name, edges[k], edges[k + 1]) for k in range(count)]


def result_prefix(job_id: str) -> str:
    """Return how the keys of all results of a job's ranges begin, in the output bucket.

    They are not beside the song: its key may be too long for that.
    """
    return f".ranges/{job_id}/"


def result_key(job_id: str, range_: Range) -> str:
    """Return the key of a range's result in the output bucket."""
    return f"{result_prefix(job_id)}{range_.plan}/{range_.number:04}"


def _plan_id(plan: Plan, count: int) -> str:
    model = plan.model
    facts = [model.name, model.sources, plan.length, float(plan.segment), count, plan.windows]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
