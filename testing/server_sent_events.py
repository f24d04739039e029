"""Parse server-sent events as a client receives them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One event; a client that reconnects sends `id` as Last-Event-ID."""

    name: str
    id: str
    data: dict[str, Any]


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events in `lines`, without comments and other fields."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


def split_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a response that arrives in chunks."""
    incomplete = b""
    for chunk in chunks:
        *lines, incomplete = (incomplete + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
