"""The settings of the notify function. docs/operations.md describes them for operators."""

from dataclasses import dataclass, field

from functions.notify.deliveries import SCHEDULE
from microdemucs.plain_numbers import decimal_number
from microdemucs.settings import (
    BusSettings,
    ServerSettings,
    StoreSettings,
    flag,
    number,
    setting,
    shared_secret,
    text,
    url_with_host,
)
from microdemucs.webhooks import is_webhook_secret

_WEEK_S = 7 * 86400


def _webhook_secret(value: str) -> str:
    if not is_webhook_secret(value):
        raise ValueError("whsec_ and base64 of 24 to 64 random bytes")
    return value


def _schedule(value: str) -> tuple[float, ...]:
    accepted = "seconds from 0 to 604800, separated by commas, such as 5,300"
    delays = []
    for seconds in value.split(","):
        delay = decimal_number(seconds.strip())
        if delay is None or delay > _WEEK_S:
            raise ValueError(accepted)
        delays.append(delay)
    return tuple(delays)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process that delivers webhooks."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    events_secret: str = setting(
        "EVENTS_SECRET",
        "",
        shared_secret,
        "signs events; the bridge, separate and notify share it",
        secret=True,
    )
    source: str = setting(
        "PUBLIC_URL",
        "http://127.0.0.1:8080",
        url_with_host,
        "the deployment's URL: `source` of its events",
    )
    callback_secret: str = setting(
        "CALLBACK_SECRET",
        "",
        _webhook_secret,
        "whsec_…, signs the callbacks of POST /apiv1/separate",
        secret=True,
    )
    schedule: tuple[float, ...] = setting(
        "WEBHOOK_RETRY_SECONDS",
        ",".join(map(str, SCHEDULE)),
        _schedule,
        "the delays between attempts",
    )
    deactivate_days: float = setting(
        "WEBHOOK_DEACTIVATE_DAYS",
        "5",
        number(0.01, 365),
        "a webhook all of whose attempts failed for so long is deactivated",
    )
    link_hours: float = setting(
        "LINK_HOURS", "24", number(0.01, 168), "how long links to stems stay valid"
    )
    allow_private: bool = setting(
        "WEBHOOK_ALLOW_PRIVATE", "no", flag, "whether webhooks may go to private addresses"
    )
    ca_file: str = setting(
        "WEBHOOK_CA_FILE", "", text, "certificate authorities of a closed network, a PEM file"
    )
