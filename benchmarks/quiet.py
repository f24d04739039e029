"""Whether the machine was ours alone while something was timed.

The kernel counts each core's busy time (/proc/stat, proc(5)); what neither this process nor the
child it timed has used, another process has: on this machine, or, as stolen time, beside it.
"""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

MOST = 0.05
"""Of the cores: more than this by others, and a figure says nothing."""

_TICK = 1 / os.sysconf("SC_CLK_TCK")  # s


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds: a clock's, this machine's cores' busy ones, stolen ones, this process's own."""

    clock: float
    busy: float
    stolen: float
    own: float

    @staticmethod
    def now() -> "Moment":
        """Of the cores that this process may use."""
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        busy = stolen = 0
        for line in Path("/proc/stat").read_text().splitlines():
            core, *rest = line.split()
            if core in cores:
                # guests are in user already
                user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, rest)
                busy += user + nice + system + irq + softirq
                stolen += steal
        return Moment(time.monotonic(), busy * _TICK, stolen * _TICK, _cpu(resource.RUSAGE_SELF))


@dataclass(frozen=True, slots=True)
class Others:
    """What others used, as shares of all cores."""

    here: float
    stolen: float

    @staticmethod
    def between(began: Moment, ended: Moment, child: float) -> "Others":
        """`child` is the CPU time, in s, of what was timed with all its children."""
        cores = len(os.sched_getaffinity(0)) * (ended.clock - began.clock)
        ours = child + ended.own - began.own
        here = max(0.0, ended.busy - began.busy - ours)
        return Others(here / cores, (ended.stolen - began.stolen) / cores)

    @property
    def too_many(self) -> bool:
        """Whether this run is to be thrown away."""
        return self.here + self.stolen > MOST

    def __str__(self) -> str:
        return f"{self.here:.1%} by other processes, {self.stolen:.1%} stolen by other machines"


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
