"""What the web app works with: settings, the store, the bus, the view of jobs. Made when needed."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import flask
from minio import Minio

from functions.upload.jobs_view import View
from microdemucs import logs, store
from microdemucs.bus import JOBS, Bus
from microdemucs.problems import Problem
from microdemucs.settings import BadSetting, BusSettings, StoreSettings, flag, number, text


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """How the web side behaves.

    host            where it listens: only on loopback may it do without tokens
    tokens          bearer tokens, any of which opens the API
    song_bytes      the largest song taken
    link_hours      how long the links to stems hold
    streams         how many event streams may be open at a time: each keeps a thread
    allow_private   whether webhooks may go to addresses that are not public
    """

    host: str = field(default_factory=lambda: text("HOST", "0.0.0.0"))  # noqa: S104
    tokens: tuple[str, ...] = field(
        default_factory=lambda: tuple(filter(None, map(str.strip, text("API_TOKENS").split(",")))),
        repr=False,
    )
    song_bytes: int = field(default_factory=lambda: _whole("MAX_SONG_BYTES", 2**30, 1, 5 * 2**40))
    link_hours: float = field(default_factory=lambda: _hours("LINK_HOURS", 24))
    streams: int = field(
        default_factory=lambda: _whole(
            "EVENT_STREAMS", max(1, number("THREADS", 8) // 2), 0, 10_000
        )
    )
    allow_private: bool = field(default_factory=lambda: flag("WEBHOOK_ALLOW_PRIVATE"))


@dataclass(frozen=True, slots=True)
class Context:
    """`links` presigns addresses that a browser can reach; `streams` has a place per listener."""

    settings: UploadSettings
    names: StoreSettings
    store: Minio
    links: Minio
    bus: Bus
    jobs: View
    streams: threading.Semaphore


def parts() -> Context:
    """The parts of the app that answers now. Raises Problem where a setting cannot be used."""
    made: Context = flask.current_app.extensions["parts"]()
    return made


def lazily() -> Callable[[], Context]:
    """What makes the parts on the first call: the server forks after it has loaded the app."""
    one_at_a_time = threading.Lock()
    made: list[Context] = []

    def get() -> Context:
        with one_at_a_time:
            if not made:
                try:
                    made.append(_make())
                except BadSetting as error:
                    raise Problem(
                        503, "bad-setting", "A setting cannot be used", str(error)
                    ) from error
            return made[0]

    return get


def _make() -> Context:
    settings, names, bus_settings = UploadSettings(), StoreSettings(), BusSettings()
    bus = Bus(bus_settings, "upload")
    logs.start("upload", bus)
    jobs = View()
    bus.watch(JOBS, jobs.seen, jobs.caught_up)
    return Context(
        settings=settings,
        names=names,
        store=store.connect(names),
        links=store.connect(names, public=True),
        bus=bus,
        jobs=jobs,
        streams=threading.Semaphore(settings.streams),
    )


def _whole(name: str, default: float, low: int, high: int) -> int:
    value = number(name, default)
    if not low <= value <= high or value != int(value):
        raise BadSetting(f"{name} is {text(name)!r}: it must be a whole number, {low} to {high}")
    return int(value)


def _hours(name: str, default: float) -> float:
    hours = number(name, default)
    if not 0 < hours <= 168:
        raise BadSetting(f"{name} is {hours:g}: a link holds for more than 0 and up to 168 hours")
    return hours
