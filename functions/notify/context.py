"""What a notify process works with: its settings, the store, the bus."""

from dataclasses import dataclass

import flask
from minio import Minio

from functions.notify.egress import Egress
from functions.notify.settings import Settings
from microdemucs import logs, store
from microdemucs.bus import Bus
from microdemucs.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Context:
    """`links` presigns URLs that a webhook's receiver can reach."""

    settings: Settings
    names: StoreSettings
    store: Minio
    links: Minio
    bus: Bus
    egress: Egress


def context() -> Context:
    """The context of the app that handles this request. Raises BadSetting."""
    made: Context = flask.current_app.extensions["context"]()
    return made


def build_context() -> Context:
    """The dependencies of this process, from its settings. Raises BadSetting."""
    settings = Settings()
    bus = Bus(settings.bus, "notify")
    logs.start("notify", bus)
    return Context(
        settings=settings,
        names=settings.store,
        store=store.connect(settings.store),
        links=store.connect(settings.store, public=True),
        bus=bus,
        egress=Egress(settings.allow_private, settings.ca_file),
    )
