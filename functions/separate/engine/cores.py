"""How many cores there are for this process, in a container too (cgroup v2, cpu.max)."""

import os
from pathlib import Path


def cores() -> int:
    """How many threads get a core to themselves: more of them would wait for each other."""
    available = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(available, int(quota) // int(period)))
    except (OSError, ValueError):  # no such limit, or "max"
        return available
