"""Problems: what went wrong, told once, in one form everywhere (RFC 9457).

The same text serves an HTTP answer, a failure.json and a log line, so it says what to do and
holds nothing internal.
"""

from datetime import UTC, datetime
from typing import Any

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """Something a caller can read and act on.

    `kind` ends the problem's type, `urn:micro-demucs:problem:<kind>`; docs/http.md lists them.
    `more` are extension members (RFC 9457, section 3.2).
    """

    def __init__(self, status: int, kind: str, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(detail or title)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.more = more

    def body(self) -> dict[str, Any]:
        """The members of the problem document, in the RFC's order."""
        document: dict[str, Any] = {
            "type": f"urn:micro-demucs:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            document["detail"] = self.detail
        return document | self.more


class Rejected(Problem):
    """This song can never be separated as asked: told in failure.json, not tried again."""

    def __init__(self, kind: str, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(422, kind, title, detail, **more)


class RetryLater(Problem):
    """It may pass later: answered 503 with Retry-After, and the event comes again.

    `after` is in seconds. `busy` says that the event itself was not even begun: answered 429,
    which counts as no failure of the event.
    """

    def __init__(
        self, kind: str, title: str, detail: str = "", *, after: float = 5, busy: bool = False
    ) -> None:
        super().__init__(429 if busy else 503, kind, title, detail)
        self.after = after


def now() -> str:
    """This moment as RFC 3339 in UTC, to the millisecond: how every time is written here."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
