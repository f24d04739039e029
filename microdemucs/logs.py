"""Logs: one JSON line per event on stdout, also published on NATS `logs.<function>.<level>`.

logs.start("separate", bus)
with logs.context(job=job.id, trace=trace):
    log.info("song decoded", extra={"seconds": 41.2})
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from microdemucs.problems import now

_context: ContextVar[dict[str, str]] = ContextVar("context", default={})  # noqa: B039 (constant)
_STANDARD_FIELDS = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Publisher(Protocol):
    """Publishes a line without waiting."""

    def send(self, subject: str, data: bytes) -> None:
        """Publish `data`, or drop it if the bus is away: the line is on stdout in any case."""


def start(function: str, bus: Publisher | None = None) -> None:
    """Configure the root logger to write the lines of `function`, and to publish them on `bus`."""
    logging.basicConfig(level=logging.INFO, handlers=[_LineHandler(function, bus)], force=True)
    for verbose in ("nats", "urllib3", "aiohttp.access", "gunicorn.error"):
        logging.getLogger(verbose).setLevel(logging.WARNING)


@contextmanager
def context(**fields: str) -> Iterator[None]:
    """Add `fields` (job, trace, delivery) to every line that is logged inside."""
    token = _context.set(_context.get() | fields)
    try:
        yield
    finally:
        _context.reset(token)


def format_line(function: str, record: logging.LogRecord) -> str:
    """Return `record` as one line of JSON: time, level, function, event, then its fields."""
    members: dict[str, Any] = {
        "time": now(),
        "level": record.levelname.lower(),
        "function": function,
        "event": record.getMessage(),
        **_context.get(),
        **{k: v for k, v in vars(record).items() if k not in _STANDARD_FIELDS},
    }
    if record.exc_info and record.exc_info[1]:
        members["error"] = logging.Formatter().formatException(record.exc_info)
    return json.dumps(members, ensure_ascii=False, default=str)


class _LineHandler(logging.Handler):
    """Formats each record once; writes the line to stdout and publishes it."""

    def __init__(self, function: str, bus: Publisher | None) -> None:
        super().__init__()
        self.function = function
        self.bus = bus

    def emit(self, record: logging.LogRecord) -> None:
        line = format_line(self.function, record)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        # Publishing the lines of the bus client would create more of them.
        if self.bus and not record.name.startswith("nats"):
            subject = f"logs.{self.function}.{record.levelname.lower()}"
            self.bus.send(subject, line.encode())
