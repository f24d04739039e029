"""How much work a job is, as its record shows it."""

from msgspec import Struct

from microdemucs.options import Options

_STEM_RATE = 44_100  # Hz


class WorkEstimate(Struct, frozen=True, kw_only=True):
    """The work of one separation, estimated before its first window.

    `passes` is how often the networks walk over the song: shifts times networks. `windows` is the
    number of windows in all passes. `network_seconds` is how much audio goes through a network, in
    seconds: what a limit can be set for, since it is the same on every machine. `output_bytes` is
    the most that all stems may take. `seconds` is how long the machine needs for the separation, by
    its last measurement; None until it has measured this model.
    """

    passes: int
    windows: int
    network_seconds: float
    output_bytes: int
    seconds: float | None = None


def output_bytes(stems: int, seconds: float, options: Options) -> int:
    """Return the most that so many stems of a song of `seconds` take, but for their headers.

    FLAC counts as if nothing could be compressed.
    """
    if options.format == "mp3":
        return stems * int(seconds * options.bitrate * 125)
    return stems * round(seconds * _STEM_RATE) * 2 * options.bits // 8
