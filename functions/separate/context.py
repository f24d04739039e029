"""What a process has for all its jobs, and what it may have too little of."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from minio import Minio

from functions.separate import preload
from functions.separate.engine.registry import ModelRegistry
from functions.separate.job import Job
from functions.separate.ranges.coordinator import RangeCoordinator
from functions.separate.settings import Settings
from microdemucs import logs, store
from microdemucs.bus import Bus
from microdemucs.problems import RetryLater


@dataclass(frozen=True, slots=True)
class Context:
    """What a process has for all its jobs. Limits are in bytes and seconds.

    A range of a song is at most `range_seconds` long (0: a song is one range), and
    `song_concurrency` of a song's ranges may be in work at once.
    """

    store: Minio
    bus: Bus
    models: ModelRegistry
    stems: str
    max_bytes: int
    max_seconds: float
    grace: float
    range_seconds: float = 0
    song_concurrency: int = 1
    mp3_quality: int | None = None

    def division(self, job: Job) -> RangeCoordinator:
        """How `job` is divided among requests."""
        at = job, self.store, self.stems, self.bus
        return RangeCoordinator(*at, self.range_seconds, self.song_concurrency)


def build_context() -> Context:
    """The dependencies of this process, from its settings. Raises BadSetting."""
    settings = Settings()
    bus = Bus(settings.bus, "separate")
    logs.start("separate", bus)
    client = store.connect(settings.store)
    return Context(
        client,
        bus,
        preload.registry(),
        settings.store.stems,
        max_bytes=settings.max_bytes,
        max_seconds=settings.max_seconds,
        grace=settings.server.grace_seconds,
        range_seconds=settings.range_seconds,
        song_concurrency=settings.song_concurrency,
        mp3_quality=settings.mp3_quality,
    )


@contextmanager
def retry_when_out_of_resources() -> Iterator[None]:
    """Say what is too little here, and may be more later. Raises RetryLater."""
    try:
        yield
    except MemoryError as error:
        raise RetryLater(
            "no-memory", "There is not enough memory for this song", after=30
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RetryLater("no-disk", "There is not enough disk for this song", after=30) from error
