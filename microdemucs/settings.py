"""Settings: environment variables, each declared once with its type, default and meaning.

A part declares its settings as the fields of a dataclass, in its own settings.py:

    @dataclass(frozen=True, slots=True)
    class SweepSettings:
        grace_seconds: float = setting(
            "SWEEP_GRACE_SECONDS", "30", number(0), "how young a song may be to be skipped"
        )

`SweepSettings()` reads the environment; a test may pass values instead. docs/operations.md lists
all of them, and a test holds that table against these declarations.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from microdemucs.plain_numbers import decimal_number

_SECRET_CHARACTERS = 16

Parse = Callable[[str], Any]
"""Reads a variable's text. Raises ValueError, whose message says what is accepted."""


class BadSetting(ValueError):
    """A setting cannot be used. The text names it, its value, and what is accepted."""


class Declaration(NamedTuple):
    """One setting: its environment variable, its default as text, and what it means.

    `fallback` is another variable that is read if this one is not set.
    """

    name: str
    default: str
    meaning: str
    fallback: str = ""
    secret: bool = False


def setting(
    name: str, default: str, parse: Parse, meaning: str, *, fallback: str = "", secret: bool = False
) -> Any:
    """Return a dataclass field that is read from the variable `name` when the object is made.

    A variable that is unset or empty counts as `default`, which is parsed like any other value.
    Making the object raises BadSetting. A secret is neither shown by repr nor in an error.
    """
    declared = Declaration(name, default, meaning, fallback, secret)

    def read() -> Any:
        text = os.environ.get(name) or (fallback and os.environ.get(fallback)) or default
        try:
            return parse(text)
        except ValueError as error:
            shown = "" if secret else f" is {text!r}:"
            raise BadSetting(f"{name}{shown} must be {error}") from None

    return field(default_factory=read, repr=not secret, metadata={"declaration": declared})


def declarations(settings: type) -> list[Declaration]:
    """Return the settings that a dataclass declares, in order; nested dataclasses count."""
    found = []
    for one in fields(settings):
        if "declaration" in one.metadata:
            found.append(one.metadata["declaration"])
        elif isinstance(one.default_factory, type):
            found += declarations(one.default_factory)
    return found


def text(value: str) -> str:
    """Any text."""
    return value


def required(value: str) -> str:
    """Return the text. Raises ValueError if it is empty."""
    if not value:
        raise ValueError("set")
    return value


def shared_secret(value: str) -> str:
    """Return the secret. Raises ValueError if it is too short to be one."""
    if len(value) < _SECRET_CHARACTERS:
        raise ValueError(f"a secret of at least {_SECRET_CHARACTERS} characters")
    return value


def number(low: float = 0, high: float = float("inf")) -> Parse:
    """Return a parser of numbers from `low` to `high`."""

    def parse(value: str) -> float:
        parsed = decimal_number(value.strip())
        if parsed is None or not low <= parsed <= high:
            raise ValueError(f"a number{_bounds(low, high)}")
        return parsed

    return parse


def whole(low: int = 0, high: float = float("inf")) -> Parse:
    """Return a parser of whole numbers from `low` to `high`.

    Helm writes large ones with an exponent: 1e+06.
    """

    def parse(value: str) -> int:
        parsed = decimal_number(value.strip())
        if parsed is None or not low <= parsed <= high or not parsed.is_integer():
            raise ValueError(f"a whole number{_bounds(low, high)}")
        return int(parsed)

    return parse


def one_of(*accepted: str) -> Parse:
    """One of these words."""

    def parse(value: str) -> str:
        if value not in accepted:
            raise ValueError(f"one of {', '.join(accepted)}")
        return value

    return parse


def flag(value: str) -> bool:
    """Yes (1, true, yes, on) or no (0, false, no, off), in any case."""
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("yes or no")


def url_with_host(value: str) -> str:
    """Return a URL, which must have a host, without a slash at its end."""
    if not urlsplit(value).hostname:
        raise ValueError("a URL with a host, such as http://127.0.0.1:9000")
    return value.rstrip("/")


def _bounds(low: float, high: float) -> str:
    return f" from {low:g} to {high:g}" if high != float("inf") else f" of at least {low:g}"


_STORE = "http://127.0.0.1:9000"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The object store, and this part's own user there."""

    url: str = setting("STORE_URL", _STORE, url_with_host, "the object store")
    public_url: str = setting(
        "STORE_PUBLIC_URL",
        _STORE,
        url_with_host,
        "how browsers and webhook receivers reach the store: presigned URLs begin with it",
        fallback="STORE_URL",
    )
    access_key: str = setting(
        "STORE_ACCESS_KEY", "", text, "the part's own user; for provision, the store's root"
    )
    secret_key: str = setting("STORE_SECRET_KEY", "", text, "its secret", secret=True)
    region: str = setting("STORE_REGION", "us-east-1", required, "the store's region")
    songs: str = setting("SONGS_BUCKET", "songs", required, "the input bucket")
    stems: str = setting("STEMS_BUCKET", "stems", required, "the output bucket")
    models: str = setting("MODELS_BUCKET", "models", required, "the bucket of models")


@dataclass(frozen=True, slots=True)
class BusSettings:
    """NATS, and this part's own user there."""

    url: str = setting("NATS_URL", "nats://127.0.0.1:4222", url_with_host, "the message bus")
    user: str = setting("NATS_USER", "", text, "the part's own user (minio-events/nats.conf)")
    password: str = setting("NATS_PASSWORD", "", text, "its password", secret=True)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The HTTP server of a function."""

    host: str = setting("HOST", "0.0.0.0", required, "the address to listen on")  # noqa: S104
    port: int = setting("PORT", "8080", whole(0, 65535), "the port to listen on")
    threads: int = setting(
        "THREADS",
        "8",
        whole(1, 1024),
        "requests that are worked on at once; set 64 for upload and 160 for notify",
    )
    connections: int = setting(
        "CONNECTIONS",
        "512",
        whole(1, 10_000),
        "connections at once; at the limit that of the slowest client is closed",
    )
    header_seconds: float = setting(
        "HEADER_SECONDS", "10", number(0.01), "how long a request's headers may take to arrive"
    )
    stall_seconds: float = setting(
        "STALL_SECONDS",
        "60",
        number(0.01),
        "how long a client may send or read less than MIN_BYTES_PER_SECOND",
    )
    min_bytes_per_second: float = setting(
        "MIN_BYTES_PER_SECOND", "1024", number(1), "the least rate of a client"
    )
    grace_seconds: float = setting(
        "GRACE_SECONDS", "25", number(0), "how long a function may go on after SIGTERM"
    )


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """How much work one job may be: upload and separate reject what is more."""

    max_seconds: float = setting(
        "MAX_WORK_SECONDS",
        "50000",
        number(1),
        "seconds of audio that one job may put through a network, over all passes",
    )
    max_output_bytes: int = setting(
        "MAX_OUTPUT_BYTES", str(8 * 2**30), whole(1), "how large the stems of one job may be"
    )


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long things are kept, in days; 0 is for ever. provision sets it, and upload shows it."""

    songs_days: int = setting(
        "SONGS_RETENTION_DAYS", "0", whole(0), "after so many days the store removes a song"
    )
    stems_days: int = setting(
        "STEMS_RETENTION_DAYS", "0", whole(0), "after so many days the store removes stems"
    )
    jobs_days: int = setting(
        "JOBS_RETENTION_DAYS", "30", whole(0), "after so many days the bus removes a job record"
    )
