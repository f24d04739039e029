"""How much of the cores other processes used while something was timed.

The kernel counts each core's busy time (/proc/stat, proc(5)). Other processes used what neither
this process nor the timed child used: on this machine, or, as stolen time, on another one.
"""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT = 0.05
"""If others use more than this fraction of the cores, the run is discarded."""

_TICK = 1 / os.sysconf("SC_CLK_TCK")  # s


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """At one moment, in s: the clock, and the time the cores were busy, stolen, and used by us."""

    clock: float
    busy: float
    stolen: float
    own: float

    @staticmethod
    def now() -> "CpuTimes":
        """Read the times of the cores that this process may use."""
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        busy = stolen = 0
        for line in Path("/proc/stat").read_text().splitlines():
            core, *rest = line.split()
            if core in cores:
                # user includes guests
                user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, rest)
                busy += user + nice + system + irq + softirq
                stolen += steal
        return CpuTimes(time.monotonic(), busy * _TICK, stolen * _TICK, _cpu(resource.RUSAGE_SELF))


@dataclass(frozen=True, slots=True)
class OtherLoad:
    """What others used, as fractions of all cores."""

    local: float
    stolen: float

    @staticmethod
    def between(start: CpuTimes, end: CpuTimes, child: float) -> "OtherLoad":
        """Return the load by others; `child` is the CPU time in s of the timed processes."""
        cores = len(os.sched_getaffinity(0)) * (end.clock - start.clock)
        ours = child + end.own - start.own
        local = max(0.0, end.busy - start.busy - ours)
        return OtherLoad(local / cores, (end.stolen - start.stolen) / cores)

    @property
    def is_too_high(self) -> bool:
        """Whether the run must be discarded."""
        return self.local + self.stolen > LIMIT

    def __str__(self) -> str:
        return f"{self.local:.1%} by other processes, {self.stolen:.1%} stolen by other machines"


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
