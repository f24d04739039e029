"""The separate function: a song in the input bucket becomes stems in the output bucket.

A process separates one song at a time: two at once would take longer than one after the other.
While it is busy it answers 429.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import flask
import functions_framework
from cloudevents.http import CloudEvent

from functions.separate.context import Context, build_context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.range_runner import run_range
from functions.separate.settings import Settings
from microdemucs import logs, service, shutdown
from microdemucs.disconnect import is_disconnected
from microdemucs.event_guard import Access, guard_events
from microdemucs.lazy import Lazy
from microdemucs.problems import RetryLater


def _start_process() -> Context:
    context = build_context()
    context.publisher.start()
    return context


context = Lazy(_start_process)
_settings = Lazy(Settings)
_in_work = threading.Lock()


@functions_framework.cloud_event
def separate(event: CloudEvent) -> None:
    """Separate the song that the event names, or one range of a long song."""
    service.answer_without_content()
    ensure_expected(flask.request)
    job = Job.of(event)
    with one_song_at_a_time(), logs.context(job=job.id, trace=job.trace):
        if job.range_request:
            run_range(job, job.range_request, context())
        else:
            run_job(job, context())


def ensure_expected(request: flask.Request) -> None:
    """Raise RetryLater (429) if nobody waits for the answer any more.

    The bridge lets go of requests to a process that stands still, and sends their songs again. When
    the process goes on, it finds the old requests before the new ones.
    """
    if is_disconnected(request):
        raise RetryLater("client-left", "The client of this request has left", after=1, busy=True)


@contextmanager
def one_song_at_a_time() -> Iterator[None]:
    """Raise RetryLater (429) if this process is separating another song, or is stopping."""
    if shutdown.stopping.is_set():
        raise RetryLater("stopping", "This process is stopping", after=1, busy=True)
    if not _in_work.acquire(blocking=False):
        raise RetryLater("busy", "This process is separating another song", after=1, busy=True)
    try:
        yield
    finally:
        _in_work.release()


def check_ready() -> None:
    """Raise RetryLater while the bus is away.

    The first call loads the default model, and publishes which models there are.
    """
    ctx = context()
    if not ctx.bus.is_up:
        raise RetryLater("bus-away", "The message bus cannot be reached", after=1)
    ctx.models.load(ctx.models.choose(""))
    ctx.publisher.publish_once()


def event_access() -> Access:
    """Return what the guard of this function's events needs. Raises BadSetting."""
    settings = _settings()
    return Access(settings.server.host, settings.events_secret)


service.install_probes_and_errors(flask.current_app, check_ready)
guard_events(flask.current_app, event_access)
