"""What the decoder's child process reads as its task, and reports to its parent, as JSON.

functions.separate.audio.decoder_process reads the task and writes the report,
functions.separate.audio.decoder does the opposite.
"""

import base64

import msgspec
from msgspec import Struct

from microdemucs.audio_facts import AudioFacts


class DecoderTask(Struct, frozen=True, kw_only=True):
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


class AudioRejected(Struct, frozen=True, tag="rejected"):
    """The song cannot be separated: `kind` and `detail` of the problem."""

    kind: str
    detail: str


class AudioAccepted(Struct, frozen=True, tag="decoded"):
    """The song's facts, and its cover, a JPEG or PNG, as base64 ("" for none)."""

    audio: AudioFacts
    cover_base64: str = ""

    @property
    def cover(self) -> bytes:
        """The cover's bytes; b"" for none."""
        return base64.b64decode(self.cover_base64)


Report = AudioAccepted | AudioRejected


def write_report(report: Report) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.encode(report)


def read_report(text: bytes) -> Report:
    """Read what `write_report` wrote."""
    report: Report = msgspec.json.decode(text, type=Report)
    return report
