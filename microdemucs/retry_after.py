"""The Retry-After header (RFC 9110, section 10.2.3)."""

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

LONGEST_S = 86400.0
"""A day, the longest delay of the webhook schedule. urllib3's own limit is six hours."""


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds from now, at most LONGEST_S.

    Return None if there is no header, or one that cannot be read.
    """
    if not header:
        return None
    try:
        return float(Retry(retry_after_max=int(LONGEST_S)).parse_retry_after(header))
    except (InvalidHeader, OverflowError, ValueError):
        return None
