"""The settings of the separate function. docs/operations.md describes them for operators."""

from dataclasses import dataclass, field

from functions.separate.audio.sandbox import has_filter
from functions.separate.engine.settings import ModelSettings
from microdemucs.settings import (
    BusSettings,
    ServerSettings,
    StoreSettings,
    WorkSettings,
    number,
    one_of,
    setting,
    shared_secret,
    whole,
)


def _optional_quality(value: str) -> int | None:
    return whole(0, 9)(value) if value else None


def _sandbox(value: str) -> str:
    if one_of("auto", "required")(value) == "required" and not has_filter():
        raise ValueError("auto, as this kernel or processor has no seccomp filters")
    return value


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process that separates songs."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    work: WorkSettings = field(default_factory=WorkSettings)
    events_secret: str = setting(
        "EVENTS_SECRET",
        "",
        shared_secret,
        "signs events; the bridge, separate and notify share it",
        secret=True,
    )
    models: ModelSettings = field(default_factory=ModelSettings)
    max_seconds: float = setting(
        "MAX_SONG_SECONDS",
        "7200",
        number(1),
        "the longest song in seconds, measured as it is decoded",
    )
    max_bytes: int = setting(
        "MAX_SONG_BYTES", str(2**30), whole(1, 5 * 2**40), "the largest song in bytes"
    )
    decoder_sandbox: str = setting(
        "DECODER_SANDBOX",
        "auto",
        _sandbox,
        "whether the kernel must have seccomp filters, which lock the decoder in",
    )
    range_seconds: float = setting(
        "RANGE_SECONDS",
        "0",
        number(0),
        "seconds of audio that one request separates; longer songs are divided; 0: never divide",
    )
    song_concurrency: int = setting(
        "SONG_CONCURRENCY", "1", whole(1), "how many requests may share one song"
    )
    mp3_quality: int | None = setting(
        "MP3_QUALITY",
        "",
        _optional_quality,
        "LAME's quality, 0 best to 9 fastest; if empty 7, and below 256 kbit/s 5",
    )


@dataclass(frozen=True, slots=True)
class FetchModelsSettings:
    """The settings of the program that fetches models (functions.separate.fetch_models)."""

    store: StoreSettings = field(default_factory=StoreSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
