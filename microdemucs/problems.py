"""Errors that a caller can read and act on, as RFC 9457 problem details.

The same text appears in HTTP responses, failure.json and log lines. It says what is wrong and what
to do, and reveals nothing internal.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

CONTENT_TYPE = "application/problem+json"

_IS_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
).fullmatch


class Problem(Exception):
    """An error for a caller.

    `kind` is the end of the problem's type, `urn:micro-demucs:problem:<kind>`; docs/http.md lists
    all of them. `extensions` are extension members (RFC 9457, section 3.2).
    """

    def __init__(
        self, status: int, kind: str, title: str, detail: str = "", **extensions: Any
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.extensions = extensions

    def body(self) -> dict[str, Any]:
        """Return the members of the problem document, in the RFC's order."""
        document: dict[str, Any] = {
            "type": f"urn:micro-demucs:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            document["detail"] = self.detail
        return document | self.extensions


class Rejected(Problem):
    """The request can never succeed as it is (422): it is not retried."""

    def __init__(self, kind: str, title: str, detail: str = "", **extensions: Any) -> None:
        super().__init__(422, kind, title, detail, **extensions)


class Cancelled(Rejected):
    """Somebody cancelled the job at `time` (RFC 3339)."""

    def __init__(self, time: str) -> None:
        super().__init__("cancelled", "The job was cancelled", cancelled_at=time)
        self.time = time


class RetryLater(Problem):
    """A temporary error: the caller should retry after `after` seconds (503 with Retry-After).

    `busy` means that the work was not even begun: 429, which the bridge does not count as a failed
    attempt.
    """

    def __init__(
        self, kind: str, title: str, detail: str = "", *, after: float = 5, busy: bool = False
    ) -> None:
        super().__init__(429 if busy else 503, kind, title, detail)
        self.after = after


def now() -> str:
    """Return the current time as `time_text` writes it."""
    return time_text(datetime.now(UTC))


def time_text(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC, to the millisecond: the form of all our times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_time(text: str) -> bool:
    """Whether `text` is a time of RFC 3339."""
    with suppress(ValueError):
        return bool(_IS_RFC3339(text)) and bool(_parse_time(text))
    return False


def is_after(time: str, other: str) -> bool:
    """Whether the RFC 3339 `time` is later than `other`; not if one of them is no such time."""
    with suppress(ValueError):
        return _parse_time(time) > _parse_time(other)
    return False


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
