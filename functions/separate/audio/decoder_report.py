"""What the decoder's child process reads as its task, and reports to its parent, as JSON.

functions.separate.audio.decoder writes the task and reads the report,
functions.separate.audio.decoder_process does the opposite. The child starts once per song, so these
are dataclasses: the child need not import msgspec, which takes longer than all of this.
"""

from dataclasses import dataclass

from microdemucs.audio_facts import AudioFacts

NO_SANDBOX = 71
"""The exit code of a child that could not be locked in (EX_OSERR of sysexits.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderTask:
    """How to decode. `front_only` drops all but the first two channels, as demucs does.

    With `report_fd` the child reports on the song first, and finds out whether to clip it; without,
    `is_clipped` tells that. `start` is the first sample to write.
    """

    max_seconds: float
    max_memory_bytes: int
    front_only: bool = False
    report_fd: int | None = None
    start: int = 0
    is_clipped: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the song cannot be separated: `kind` and `detail` of the problem."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class DecoderReport:
    """Either why the song is rejected, or its facts and its cover.

    The cover is a JPEG or PNG as base64, or "".
    """

    rejection: Rejection | None = None
    audio: AudioFacts | None = None
    cover_base64: str = ""
