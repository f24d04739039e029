"""What a notify process works with: its settings, the output bucket, the bus, egress."""

from dataclasses import dataclass

import flask

from functions.notify.egress import Egress
from functions.notify.settings import Settings
from microdemucs import logs, store
from microdemucs.bucket import Bucket
from microdemucs.bus import Bus
from microdemucs.webhook_registry import WebhookRegistry


@dataclass(frozen=True, slots=True)
class Context:
    """The dependencies of this process.

    `stems` is the output bucket, as this process reaches it; `public_stems` is the same bucket
    as webhook receivers reach it, and only presigns URLs.
    """

    settings: Settings
    stems: Bucket
    public_stems: Bucket
    bus: Bus
    webhooks: WebhookRegistry
    egress: Egress


def context() -> Context:
    """Return the context of the app that handles this request. Raises BadSetting."""
    ctx: Context = flask.current_app.extensions["context"]()
    return ctx


def build_context() -> Context:
    """Build the dependencies of this process from its settings. Raises BadSetting."""
    settings = Settings()
    bus = Bus(settings.bus, "notify")
    logs.start("notify", bus)
    return Context(
        settings=settings,
        stems=Bucket(store.connect(settings.store), settings.store.stems),
        public_stems=Bucket(store.connect(settings.store, public=True), settings.store.stems),
        bus=bus,
        webhooks=WebhookRegistry(bus),
        egress=Egress(settings.allow_private, settings.ca_file),
    )
