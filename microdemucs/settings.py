"""Settings: environment variables, read once, each with its meaning and default here.

docs/operations.md lists them for the people who run the system.
"""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class BadSetting(SystemExit):
    """A setting cannot be used; the text names it and what it accepts."""


def text(name: str, default: str = "") -> str:
    """The variable `name`, or `default` where it is unset or empty."""
    return os.environ.get(name, "") or default


def number(name: str, default: float) -> float:
    """The variable `name` as a number. Raises BadSetting."""
    try:
        return float(text(name, str(default)))
    except ValueError:
        raise BadSetting(f"{name} is {text(name)!r}: it must be a number") from None


def one_of(name: str, *accepted: str) -> str:
    """The variable `name`, which must be a word accepted; the first is the default.

    Raises BadSetting.
    """
    chosen = text(name, accepted[0])
    if chosen not in accepted:
        raise BadSetting(f"{name} is {chosen!r}: it must be one of {', '.join(accepted)}")
    return chosen


def flag(name: str) -> bool:
    """Whether the variable `name` says yes: 1, true, yes or on."""
    return text(name).lower() in {"1", "true", "yes", "on"}


def address(name: str, default: str) -> str:
    """The variable `name` as a URL with a host, without a trailing slash. Raises BadSetting."""
    url = text(name, default).rstrip("/")
    if not urlsplit(url).hostname:
        raise BadSetting(f"{name} is {url!r}: it must be a URL as in {default}")
    return url


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the buckets are, and who we are there. `public_url` is how browsers reach it."""

    url: str = field(default_factory=lambda: address("STORE_URL", "http://127.0.0.1:9000"))
    public_url: str = field(
        default_factory=lambda: address(
            "STORE_PUBLIC_URL", text("STORE_URL", "http://127.0.0.1:9000")
        )
    )
    access_key: str = field(default_factory=lambda: text("STORE_ACCESS_KEY"))
    secret_key: str = field(default_factory=lambda: text("STORE_SECRET_KEY"), repr=False)
    region: str = field(default_factory=lambda: text("STORE_REGION", "us-east-1"))
    songs: str = field(default_factory=lambda: text("SONGS_BUCKET", "songs"))
    stems: str = field(default_factory=lambda: text("STEMS_BUCKET", "stems"))
    models: str = field(default_factory=lambda: text("MODELS_BUCKET", "models"))


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Where NATS is, and who we are there."""

    url: str = field(default_factory=lambda: address("NATS_URL", "nats://127.0.0.1:4222"))
    user: str = field(default_factory=lambda: text("NATS_USER"))
    password: str = field(default_factory=lambda: text("NATS_PASSWORD"), repr=False)
