"""The Retry-After header (RFC 9110, section 10.2.3)."""

from urllib3.util import Retry

LONGEST_S = 86400.0
"""A day, the longest delay of the webhook schedule. urllib3's own limit is six hours."""


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds from now, at most LONGEST_S.

    Return None if there is no header, or one that cannot be read. Raises nothing: the header is a
    stranger's.
    """
    if not header:
        return None
    try:
        seconds = float(Retry(retry_after_max=int(LONGEST_S)).parse_retry_after(header))
    # InvalidHeader, and whatever Python's parser of dates raises for absurd ones
    except Exception:  # noqa: BLE001
        return None
    return seconds if 0 <= seconds <= LONGEST_S else None
