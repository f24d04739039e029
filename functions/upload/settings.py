"""The settings of the upload function. docs/operations.md describes them for operators."""

from dataclasses import dataclass, field

from microdemucs.settings import (
    BadSetting,
    BusSettings,
    RetentionSettings,
    ServerSettings,
    StoreSettings,
    WorkSettings,
    flag,
    number,
    setting,
    shared_secret,
    whole,
)
from microdemucs.webhooks import CALLBACK_DAYS


def _tokens(value: str) -> tuple[str, ...]:
    return tuple(token.strip() for token in value.split(",") if token.strip())


def _share_secrets(value: str) -> tuple[str, ...]:
    return tuple(shared_secret(secret) for secret in _tokens(value))


_DEFAULT_UPLOAD_SPACE = 7 * 2**29  # 3.5 GiB


def _space(value: str) -> int | None:
    return whole(1)(value) if value else None


def _stream_limit(value: str) -> int | None:
    return whole(0, 10_000)(value) if value else None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process that serves the web form and the REST API."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    work: WorkSettings = field(default_factory=WorkSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    tokens: tuple[str, ...] = setting(
        "API_TOKENS",
        "",
        _tokens,
        "bearer tokens, separated by commas; required unless HOST is loopback",
        secret=True,
    )
    max_bytes: int = setting("MAX_SONG_BYTES", str(2**30), whole(1, 5 * 2**40), "the largest song")
    max_seconds: float = setting(
        "MAX_SONG_SECONDS",
        "7200",
        number(1),
        "the longest song in seconds, measured as it is decoded",
    )
    max_upload_space: int | None = setting(
        "UPLOAD_SPACE_BYTES",
        "",
        _space,
        "disk space of the songs that arrive at once; if empty 3.5 GiB, or MAX_SONG_BYTES if more",
    )
    link_hours: float = setting(
        "LINK_HOURS", "24", number(0.01, 168), "how long links to stems stay valid"
    )
    share_secrets: tuple[str, ...] = setting(
        "SHARE_SECRETS",
        "",
        _share_secrets,
        "secrets of share links, separated by commas: the first one signs, all are accepted; "
        "if empty, one is made of STORE_SECRET_KEY",
        secret=True,
    )
    max_event_streams: int | None = setting(
        "EVENT_STREAMS",
        "",
        _stream_limit,
        "open event streams and previews; if empty half of THREADS",
    )
    mixes: int = setting(
        "MIXES", "2", whole(1, 100), "mixes and stem.mp4 files that are encoded at the same time"
    )
    allow_private: bool = setting(
        "WEBHOOK_ALLOW_PRIVATE", "no", flag, "whether webhooks may go to private addresses"
    )
    max_webhooks: int = setting("MAX_WEBHOOKS", "1000", whole(0), "registered webhooks")
    max_callbacks: int = setting("MAX_CALLBACKS", "100000", whole(0), "callbacks that are kept")
    callback_days: int = setting(
        "CALLBACK_DAYS",
        str(CALLBACK_DAYS),
        whole(1, 3650),
        "how long a callback is kept after it was given",
    )

    @property
    def upload_space(self) -> int:
        """How many bytes the songs that arrive at the same time may take on disk."""
        if self.max_upload_space is None:
            return max(_DEFAULT_UPLOAD_SPACE, self.max_bytes)
        return self.max_upload_space

    def __post_init__(self) -> None:
        if self.upload_space < self.max_bytes:
            raise BadSetting(
                f"UPLOAD_SPACE_BYTES is {self.upload_space}: must be at least MAX_SONG_BYTES "
                f"({self.max_bytes}), or no song of that size could ever arrive"
            )

    @property
    def event_streams(self) -> int:
        """The largest number of open event streams and previews; each one occupies a thread."""
        if self.max_event_streams is None:
            return max(1, self.server.threads // 2)
        return self.max_event_streams
