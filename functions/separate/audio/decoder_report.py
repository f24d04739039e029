"""What the decoder's child process reports to its parent as JSON: facts or a rejection.

functions.separate.audio.decoder_process writes it, functions.separate.audio.decoder reads it.
"""

import msgspec
from msgspec import Struct

from microdemucs.audio_facts import AudioFacts


class AudioRejected(Struct, frozen=True, tag="rejected"):
    """The song cannot be separated: `kind` and `detail` of the problem."""

    kind: str
    detail: str


class _Decoded(Struct, frozen=True, tag="decoded"):
    audio: AudioFacts


def write_report(report: AudioFacts | AudioRejected) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.encode(report if isinstance(report, AudioRejected) else _Decoded(report))


def read_report(text: bytes) -> AudioFacts | AudioRejected:
    """Read what `write_report` wrote."""
    report = msgspec.json.decode(text, type=AudioRejected | _Decoded)
    return report if isinstance(report, AudioRejected) else report.audio
