"""What a process has for all its jobs."""

import logging
from dataclasses import dataclass, field

from functions.separate import preload
from functions.separate.audio import sandbox
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.speed import MeasuredSpeed
from functions.separate.publish_models import ModelsPublisher
from functions.separate.settings import Settings
from microdemucs import logs, store
from microdemucs.bucket import Bucket
from microdemucs.bus import Bus
from microdemucs.work_limit import NO_LIMIT, WorkLimit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """What a process has for all its jobs.

    `range_seconds` is the longest range of a song (0: a song is one range), and at most
    `song_concurrency` ranges of a song are in work at a time. `mp3_quality` is LAME's; None
    chooses it by the bit rate. `work_limit` is the most work that a job may be, and `speed` is what
    this process has measured of its models. `publisher` tells upload which models there are.
    """

    stems: Bucket
    bus: Bus
    models: ModelRegistry
    publisher: ModelsPublisher
    max_song_bytes: int
    max_song_seconds: float
    grace_seconds: float
    range_seconds: float = 0
    song_concurrency: int = 1
    mp3_quality: int | None = None
    work_limit: WorkLimit = NO_LIMIT
    speed: MeasuredSpeed = field(default_factory=MeasuredSpeed)

    def songs(self, name: str) -> Bucket:
        """Return the input bucket that an event names."""
        return Bucket(self.stems.client, name)


def build_context() -> Context:
    """Build the context of this process from its settings. Raises BadSetting."""
    settings = Settings()
    bus = Bus(settings.bus, "separate")
    logs.start("separate", bus)
    if not sandbox.has_filter():
        reason = "this kernel or processor has no seccomp filters: other limits protect the rest"
        log.warning("decoder not fully locked in", extra={"reason": reason})
    client = store.connect(settings.store)
    models = preload.registry()
    return Context(
        stems=Bucket(client, settings.store.stems),
        bus=bus,
        models=models,
        publisher=ModelsPublisher(models, Bucket(client, settings.store.models)),
        max_song_bytes=settings.max_bytes,
        max_song_seconds=settings.max_seconds,
        grace_seconds=settings.server.grace_seconds,
        range_seconds=settings.range_seconds,
        song_concurrency=settings.song_concurrency,
        mp3_quality=settings.mp3_quality,
        work_limit=WorkLimit(settings.work.max_seconds, settings.work.max_output_bytes),
    )
