"""What a notify process works with: its settings, the store, the bus. Made once, when needed."""

import functools
import threading
from base64 import b64decode
from dataclasses import dataclass, field

from minio import Minio

from functions.notify.deliveries import SCHEDULE
from functions.notify.egress import Egress
from microdemucs import logs, store
from microdemucs.bus import Bus
from microdemucs.problems import Problem
from microdemucs.settings import (
    BadSetting,
    BusSettings,
    StoreSettings,
    address,
    flag,
    number,
    text,
)

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """How deliveries are made.

    source           the deployment, as it calls itself in events
    callback_secret  whsec_…, signs what goes to a job's own callback
    schedule         s after each failed attempt
    link_hours       how long the links to stems hold
    """

    source: str = field(default_factory=lambda: address("PUBLIC_URL", "http://127.0.0.1:8080"))
    callback_secret: str = field(default_factory=lambda: _secret("CALLBACK_SECRET"), repr=False)
    schedule: tuple[float, ...] = field(default_factory=lambda: _schedule("WEBHOOK_RETRY_SECONDS"))
    link_hours: float = field(default_factory=lambda: _link_hours("LINK_HOURS"))
    egress: Egress = field(
        default_factory=lambda: Egress(flag("WEBHOOK_ALLOW_PRIVATE"), text("WEBHOOK_CA_FILE"))
    )


@dataclass(frozen=True, slots=True)
class Context:
    """The settings and the two connections. `links` presigns addresses others can reach."""

    settings: NotifySettings
    names: StoreSettings
    store: Minio
    links: Minio
    bus: Bus


def parts() -> Context:
    """The parts of this process. Raises Problem where a setting cannot be used."""
    with _one_at_a_time:
        try:
            return _made()
        except BadSetting as error:
            raise Problem(503, "bad-setting", "A setting cannot be used", str(error)) from error


@functools.cache
def _made() -> Context:
    settings, names, bus_settings = NotifySettings(), StoreSettings(), BusSettings()
    bus = Bus(bus_settings, "notify")
    logs.start("notify", bus)
    return Context(settings, names, store.connect(names), store.connect(names, public=True), bus)


def _secret(name: str) -> str:
    secret = text(name)
    try:
        size = len(b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not secret.startswith("whsec_") or not 24 <= size <= 64:
        raise BadSetting(f"{name} must be whsec_ and base64 of 24 to 64 random bytes")
    return secret


def _schedule(name: str) -> tuple[float, ...]:
    try:
        waits = tuple(float(wait) for wait in text(name).split(",")) if text(name) else SCHEDULE
    except ValueError:
        raise BadSetting(f"{name} is {text(name)!r}: it must be seconds as in 5,300") from None
    if not all(0 <= wait <= 7 * 86400 for wait in waits):
        raise BadSetting(f"{name} is {text(name)!r}: each wait must be from 0 to 604800 seconds")
    return waits


def _link_hours(name: str) -> float:
    hours = number(name, 24)
    if not 0 < hours <= 168:
        raise BadSetting(f"{name} is {hours:g}: a link holds for more than 0 and up to 168 hours")
    return hours
