"""The separate function: a song in the input bucket becomes stems in the output bucket.

Settings: see docs/operations.md. One song at a time: a process that is busy answers 429.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import flask
import functions_framework
from cloudevents.http import CloudEvent

from functions.separate import preload
from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.range_runner import run_range
from microdemucs import logs, service, settings, store
from microdemucs.bus import Bus
from microdemucs.problems import RetryLater

_tools: Context | None = None
_starting, _working = threading.Lock(), threading.Lock()


@functions_framework.cloud_event
def separate(event: CloudEvent) -> None:
    """A song has landed: put its stems, then its manifest, beside it in the output bucket.

    Or it is a range of a long song that is asked for: put what it gives, until all are there.
    """
    service.no_content()
    job = Job.of(event)
    with alone(), logs.about(job=job.id, trace=job.trace):
        (run_range if job.part else run_job)(job, tools())


@contextmanager
def alone() -> Iterator[None]:
    """Hold the cores: two songs at once would take longer than one after the other."""
    if service.stopping.is_set():
        raise RetryLater("stopping", "This process is about to end", after=1, busy=True)
    if not _working.acquire(blocking=False):
        raise RetryLater("busy", "Another song is being separated here", after=1, busy=True)
    try:
        yield
    finally:
        _working.release()


def tools() -> Context:
    """Store, bus and models; made by the first who asks, in the process that serves."""
    global _tools
    with _starting:
        if not _tools:
            at = settings.StoreSettings()
            bus = Bus(settings.BusSettings(), "separate")
            logs.start("separate", bus)
            client = store.connect(at)
            models = preload.models()
            models.store, models.bucket = client, at.models
            _tools = Context(
                client,
                bus,
                models,
                at.stems,
                max_bytes=int(settings.number("MAX_SONG_BYTES", 1024**3)),
                max_seconds=settings.number("MAX_SONG_SECONDS", 7200),
                grace=settings.number("GRACE_SECONDS", 25),
                range_seconds=settings.number("RANGE_SECONDS", 0),
                song_concurrency=int(settings.number("SONG_CONCURRENCY", 1)),
            )
        return _tools


def ready() -> None:
    """Raise RetryLater while the bus is away; load the default model before the first song comes."""
    has = tools()
    if not has.bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=1)
    has.models.load(has.models.choose(""))


service.install_probes_and_errors(flask.current_app, ready)
