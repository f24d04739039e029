"""Server-sent events, as a listener reads them off the wire."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """One event; `id` is what the listener comes back with."""

    event: str
    id: str
    data: dict[str, Any]


def heard(lines: Iterable[str]) -> Iterator[Heard]:
    """The events in `lines`; comments and the rest are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif "data" in fields:
            yield Heard(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


def lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Pieces as they come, as lines."""
    left = b""
    for piece in pieces:
        *whole, left = (left + piece).split(b"\n")
        yield from (line.decode() for line in whole)
