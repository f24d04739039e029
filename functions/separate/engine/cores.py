"""How many cores there are for this process, in a container too."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """How many threads get a core to themselves: more of them would wait for each other."""
    available = len(os.sched_getaffinity(0))
    quota = _quota(_CGROUPS)
    return available if quota is None else max(1, min(available, int(quota)))


def _quota(cgroups: Path) -> float | None:
    """The cores that a control group may use: cpu.max of version 2, or version 1's two files."""
    try:
        if (limit := cgroups / "cpu.max").exists():
            quota, period = limit.read_text().split()
        else:
            quota = (cgroups / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroups / "cpu/cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such limit, or "max"
        return None
