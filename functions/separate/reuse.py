"""Find the stems that another job made of the same audio with the same options.

The key-value bucket `results` has an entry for each audio (SHA-256) and options.
"""

from contextlib import suppress

import msgspec
from msgspec import Struct

from microdemucs.bus import RESULTS, Bus
from microdemucs.jobs import options_hash
from microdemucs.manifest import BadDocument, decode
from microdemucs.options import Options
from microdemucs.problems import RetryLater


class FinishedJob(Struct, frozen=True):
    """A job whose stems may be copied: its id, and the key of its song."""

    key: str
    job: str


def find(bus: Bus, sha256: str, options: Options) -> FinishedJob | None:
    """Return the last job that separated this audio with these options. Raises RetryLater."""
    entry = bus.get(RESULTS, _entry_key(sha256, options))
    if not entry or not entry.value:
        return None
    with suppress(BadDocument):
        return decode(entry.value, FinishedJob)
    return None


def remember(bus: Bus, sha256: str, options: Options, finished: FinishedJob) -> None:
    """Make a finished job's stems available to later jobs.

    Best effort: without the entry, the next job with the same audio separates it again.
    """
    if bus.is_up:
        with suppress(RetryLater):
            bus.put(RESULTS, _entry_key(sha256, options), msgspec.json.encode(finished))


def _entry_key(sha256: str, options: Options) -> str:
    return f"{sha256}.{options_hash(options)}"
