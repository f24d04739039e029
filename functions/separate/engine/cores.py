"""The number of cores that this process may use, also in a container."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many threads can run at once: CPU affinity and the control group limit it."""
    available = len(os.sched_getaffinity(0))
    quota = _quota(_CGROUPS)
    return available if quota is None else max(1, min(available, int(quota)))


def _quota(cgroups: Path) -> float | None:
    """Return the control group's limit in cores, from cpu.max (version 2) or cpu.cfs_* (1)."""
    try:
        if (limit := cgroups / "cpu.max").exists():
            quota, period = limit.read_text().split()
        else:
            quota = (cgroups / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroups / "cpu/cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no limit, or "max"
        return None
