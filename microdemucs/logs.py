"""Logs: one JSON line per event on stdout, and the same line on NATS `logs.<function>.<level>`.

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

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 (never changed)
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Publisher(Protocol):
    """Whatever can send a line away without waiting."""

    def tell(self, subject: str, data: bytes) -> None:
        """Send `data`, or drop it where the bus is away: the line is on stdout in any case."""


def start(function: str, bus: Publisher | None = None) -> None:
    """Make the root logger write lines of `function`, and publish them where there is a bus."""
    logging.basicConfig(level=logging.INFO, handlers=[_Lines(function, bus)], force=True)
    for chatty in ("nats", "urllib3", "aiohttp.access", "gunicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def context(**what: str) -> Iterator[None]:
    """Every line logged inside tells `what`: job, trace, delivery."""
    token = _about.set(_about.get() | what)
    try:
        yield
    finally:
        _about.reset(token)


def line(function: str, record: logging.LogRecord) -> str:
    """`record` as one line of JSON: time, level, function, event, then what it is about."""
    said: dict[str, Any] = {
        "time": now(),
        "level": record.levelname.lower(),
        "function": function,
        "event": record.getMessage(),
        **_about.get(),
        **{k: v for k, v in vars(record).items() if k not in _PLAIN},
    }
    if record.exc_info and record.exc_info[1]:
        said["error"] = logging.Formatter().formatException(record.exc_info)
    return json.dumps(said, ensure_ascii=False, default=str)


class _Lines(logging.Handler):
    """Writes each record once as a line, and sends that same line away."""

    def __init__(self, function: str, bus: Publisher | None) -> None:
        super().__init__()
        self.function = function
        self.bus = bus

    def emit(self, record: logging.LogRecord) -> None:
        said = line(self.function, record)
        sys.stdout.write(said + "\n")
        sys.stdout.flush()
        # What the bus says of itself would feed itself.
        if self.bus and not record.name.startswith("nats"):
            subject = f"logs.{self.function}.{record.levelname.lower()}"
            self.bus.tell(subject, said.encode())
