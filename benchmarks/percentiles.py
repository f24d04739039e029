"""The nearest-rank percentile of a few measurements."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    return sorted(values)[math.ceil(percent * len(values) / 100) - 1]
