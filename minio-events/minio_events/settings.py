"""The settings of the programs in this package. docs/operations.md describes them for operators."""

import json
import re
from dataclasses import dataclass, field

from microdemucs.settings import (
    BadSetting,
    BusSettings,
    RetentionSettings,
    StoreSettings,
    number,
    required,
    setting,
    shared_secret,
    text,
    url_with_host,
    whole,
)

_NOTIFY = "http://127.0.0.1:8083"


def _extensions(value: str) -> dict[str, str]:
    """Parse the extensions of K_CE_OVERRIDES (Knative's source contract)."""
    try:
        extensions = json.loads(value).get("extensions") or {}
        return {_extension(name): str(text_) for name, text_ in extensions.items()}
    except (ValueError, AttributeError):
        raise ValueError('JSON such as {"extensions": {"name": "value"}}') from None


def _extension(name: str) -> str:
    if not re.fullmatch("[a-z0-9]+", name):  # CloudEvents 1.0, naming conventions
        raise ValueError(name)
    return name


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """The settings of the bridge."""

    bus: BusSettings = field(default_factory=BusSettings)
    songs: str = setting("SONGS_BUCKET", "songs", required, "the input bucket")
    separate_url: str = setting(
        "SEPARATE_URL", "http://127.0.0.1:8082", url_with_host, "the separate function"
    )
    notify_url: str = setting("NOTIFY_URL", _NOTIFY, url_with_host, "the notify function")
    events_secret: str = setting(
        "EVENTS_SECRET",
        "",
        shared_secret,
        "signs events; the bridge, separate and notify share it",
        secret=True,
    )
    sink_url: str = setting(
        "K_SINK",
        _NOTIFY,
        url_with_host,
        "where result events go: notify, or a Broker",
        fallback="NOTIFY_URL",
    )
    extensions: dict[str, str] = setting(
        "K_CE_OVERRIDES", "{}", _extensions, "extensions of result events, as Knative sets it"
    )
    separate_concurrency: int = setting(
        "SEPARATE_CONCURRENCY", "1", whole(1), "requests to separate at once"
    )
    sink_concurrency: int = setting(
        "SINK_CONCURRENCY", "16", whole(1), "requests to the sink at once"
    )
    delivery_concurrency: int = setting(
        "DELIVERY_CONCURRENCY", "64", whole(1), "attempts to deliver at once"
    )
    receiver_concurrency: int = setting(
        "RECEIVER_CONCURRENCY", "8", whole(1), "attempts at once at one host"
    )
    target_concurrency: int = setting(
        "WEBHOOK_CONCURRENCY", "4", whole(1), "attempts at once for one webhook"
    )
    request_seconds: float = setting(
        "REQUEST_SECONDS", "14400", number(1), "the longest time that one request may take"
    )
    max_attempts: int = setting(
        "MAX_DELIVER", "50", whole(1), "failed attempts until a message becomes a dead letter"
    )


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """The settings of the intake."""

    bus: BusSettings = field(default_factory=BusSettings)
    songs: str = setting("SONGS_BUCKET", "songs", required, "the input bucket")


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """The settings of the sweep."""

    store: StoreSettings = field(default_factory=StoreSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    grace_seconds: float = setting(
        "SWEEP_GRACE_SECONDS", "30", number(0), "skip songs and results younger than this"
    )
    notify_hours: float = setting(
        "SWEEP_TELL_HOURS", "24", number(0), "notify again only results younger than this"
    )


@dataclass(frozen=True, slots=True)
class ProvisionSettings:
    """The settings of provision, which is root in the store and on the bus."""

    store: StoreSettings = field(default_factory=StoreSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    store_nats_url: str = setting(
        "STORE_NATS_URL",
        "nats://127.0.0.1:4222",
        url_with_host,
        "the URL at which the store reaches NATS",
        fallback="NATS_URL",
    )
    store_nats_user: str = setting(
        "NATS_MINIO_USER", "minio", required, "the store's user on the bus"
    )
    store_nats_password: str = setting(
        "NATS_MINIO_PASSWORD", "", required, "the store's password on the bus", secret=True
    )
    store_queue_dir: str = setting(
        "STORE_QUEUE_DIR",
        "",
        required,
        "a folder on the store's machine that keeps events while NATS is away",
    )
    replicas: int = setting("NATS_REPLICAS", "1", whole(1, 5), "copies of each stream")
    events_secret: str = setting(
        "STORE_EVENTS_SECRET", "", required, "secret of the store's user events", secret=True
    )
    separate_secret: str = setting(
        "STORE_SEPARATE_SECRET", "", required, "secret of the store's user separate", secret=True
    )
    upload_secret: str = setting(
        "STORE_UPLOAD_SECRET", "", required, "secret of the store's user upload", secret=True
    )
    notify_secret: str = setting(
        "STORE_NOTIFY_SECRET", "", required, "secret of the store's user notify", secret=True
    )
    models_secret: str = setting(
        "STORE_MODELS_SECRET",
        "",
        text,
        "secret of the store's user models, which fetches models; if empty there is none",
        secret=True,
    )

    def __post_init__(self) -> None:
        if not self.store.access_key or not self.store.secret_key:
            raise BadSetting(
                "STORE_ACCESS_KEY and STORE_SECRET_KEY must be set: those of the store's root user"
            )

    def store_secret(self, component: str) -> str:
        """Return the secret of the component's user in the store."""
        secret: str = getattr(self, f"{component}_secret")
        return secret
