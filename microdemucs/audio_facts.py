"""What the decoder finds in a song. Its child process reports it, and range messages carry it."""

from msgspec import Struct


class AudioFacts(Struct, frozen=True, kw_only=True):
    """What the decoder found in a song.

    `length`, `mean` and `standard_deviation` are those of the decoded audio at 44.1 kHz:
    samples, and the level of the mean of both channels. `seconds` is what was decoded,
    `declared_seconds` what a reliable header announces (None if there is none).
    """

    container: str
    codec: str
    sample_rate: int
    channels: int
    seconds: float
    declared_seconds: float | None
    packets: int
    bad_packets: int
    length: int
    mean: float
    standard_deviation: float
