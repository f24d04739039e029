"""What the decoder finds in a song. Its child process reports it, and range messages carry it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What the decoder found in a song.

    `codec`, `sample_rate`, `channels` and `bits` are the song's own; `bits` is None for a codec
    that has none. `seconds` is what was decoded, `missing_seconds` what was damaged,
    `declared_seconds` what a reliable header announces (None if none does). `ends_early` tells
    whether the file cannot be read to its end. `length`, `mean` and `standard_deviation` are those
    of the decoded stereo audio at 44.1 kHz: samples, and the level of the mean of both channels.
    `is_clipped` tells whether the few samples above full scale are clipped, as players do.
    `tags` may have title, artist, album, track, date, bpm and key. `warnings` are for the song's
    owner.
    """

    container: str
    codec: str
    sample_rate: int
    channels: int
    bits: int | None
    seconds: float
    missing_seconds: float
    declared_seconds: float | None
    ends_early: bool
    length: int
    mean: float
    standard_deviation: float
    is_clipped: bool
    tags: dict[str, str]
    warnings: list[str]
