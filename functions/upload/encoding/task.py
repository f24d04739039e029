"""What the child process is asked to make."""

from enum import StrEnum

from msgspec import Struct

from microdemucs.audio_tags import AudioTags

STEM_RATE = 44_100
"""Of all stems and of everything that is made of them, in Hz."""

UNREADABLE, DISK_FULL = 3, 4
"""The exit codes if a stem cannot be decoded, and if there is no space for the result."""


class Output(StrEnum):
    """What is made of the stems."""

    MP3 = "mp3"  # the mix, with a constant bit rate
    FLAC = "flac"  # the mix, without loss
    STEM_FILE = "stem.mp4"  # the mix and each stem, in Native Instruments' format


class Gains(Struct, frozen=True):
    """The factors from each channel of a stem to each channel of the mix."""

    left_to_left: float = 1.0
    right_to_left: float = 0.0
    left_to_right: float = 0.0
    right_to_right: float = 1.0


class Source(Struct, frozen=True):
    """A stem: the descriptor that it is read from, and the format of its file.

    `track` is the name of its track in a stem.mp4.
    """

    track: str
    fd: int
    format: str
    gains: Gains = Gains()


class Task(Struct, frozen=True):
    """The sources are in the order of the tracks. The result goes to standard output.

    `bits` are those of a FLAC. The process may use `cpu_seconds`, and write `max_bytes` to a file.
    """

    output: Output
    sources: list[Source]
    bits: int
    tags: AudioTags
    cpu_seconds: int
    max_bytes: int
