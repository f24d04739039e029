"""The ranges of a song that is separated in several requests.

A request may not last for ever, and a song may be shared among processes: so the windows of its
plan are cut into ranges, each asked for by a message of its own. What a range gives is kept as an
object until all are there; then they are joined. Pure: nothing is read or written here.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from functions.separate.engine import SAMPLE_RATE
from functions.separate.engine.overlap_add import Plan
from microdemucs.options import Options

# A process that is woken for less would spend its time on coming and going.
_SHORTEST_S = 20.0


@dataclass(frozen=True, slots=True)
class Range:
    """Number `number` of `of` ranges, from 0; the plan's windows from `first` up to `stop`.

    `plan` tells plans apart: ranges of another one, by another model or cut in another way, are
    not of use.
    """

    number: int
    of: int
    plan: str
    first: int
    stop: int

    @property
    def windows(self) -> slice:
        """Its part of the plan's windows."""
        return slice(self.first, self.stop)

    def said(self) -> dict[str, Any]:
        """What a message says of it."""
        return {"number": self.number, "of": self.of, "plan": self.plan}


def cut(plan: Plan, seconds: float, at_once: int) -> list[Range]:
    """The ranges of `plan`: one where the song is separated in one request.

    None takes longer than `seconds` of audio that one network hears once, at the default overlap
    (0: as long as it likes); and there are as many as may be worked on `at_once`, if that leaves
    none very short.
    """
    usual = 1 - Options().overlap
    work = sum(size for _, _, _, size, _ in plan.windows) * usual / SAMPLE_RATE
    needed = math.ceil(work / seconds) if seconds else 1
    shared = min(at_once, int(work / _SHORTEST_S))
    count = min(max(1, needed, shared), len(plan.windows))
    edges = [len(plan.windows) * number // count for number in range(count + 1)]
    name = _name(plan, count)
    return [Range(k, count, name, edges[k], edges[k + 1]) for k in range(count)]


def prefix(job: str) -> str:
    """Before the keys of all that a job's ranges have given, in the output bucket."""
    return f".ranges/{job}/"


def key(job: str, part: Range) -> str:
    """Where in the output bucket the result of a range lies until all are joined.

    Not beside the song: its key may leave no room.
    """
    return f"{prefix(job)}{part.plan}/{part.number:04}"


def _name(plan: Plan, count: int) -> str:
    said = [plan.model.name, plan.model.sources, plan.length, float(plan.segment), count]
    text = json.dumps([*said, plan.windows])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
