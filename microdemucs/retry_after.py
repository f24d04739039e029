"""The Retry-After header (RFC 9110, section 10.2.3)."""

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

LONGEST_S = 86400.0


def parse_retry_after(header: str | None) -> float | None:
    """Seconds from now, at most LONGEST_S; None if there is no header, or none that can be read."""
    if not header:
        return None
    try:
        return min(
            float(Retry(retry_after_max=int(LONGEST_S)).parse_retry_after(header)), LONGEST_S
        )
    except (InvalidHeader, OverflowError, ValueError):
        return None
