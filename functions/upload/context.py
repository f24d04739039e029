"""What the web app works with: its settings, the store, the bus, the view of jobs."""

import threading
from dataclasses import dataclass

import flask
from minio import Minio

from functions.upload.jobs_view import View
from functions.upload.settings import Settings
from microdemucs import logs, store
from microdemucs.bus import JOBS, Bus
from microdemucs.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Context:
    """`links` presigns URLs that a browser can reach; `streams` limits the open event streams."""

    settings: Settings
    names: StoreSettings
    store: Minio
    links: Minio
    bus: Bus
    jobs: View
    streams: threading.Semaphore


def context() -> Context:
    """The context of the app that handles this request. Raises BadSetting."""
    made: Context = flask.current_app.extensions["context"]()
    return made


def build_context() -> Context:
    """The dependencies of this process, from its settings. Raises BadSetting."""
    settings = Settings()
    bus = Bus(settings.bus, "upload")
    logs.start("upload", bus)
    jobs = View()
    bus.watch(JOBS, jobs.seen, jobs.caught_up)
    return Context(
        settings=settings,
        names=settings.store,
        store=store.connect(settings.store),
        links=store.connect(settings.store, public=True),
        bus=bus,
        jobs=jobs,
        streams=threading.Semaphore(settings.event_streams),
    )
