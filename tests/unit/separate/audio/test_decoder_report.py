import msgspec
import pytest

from functions.separate.audio.decoder_report import (
    AudioAccepted,
    AudioRejected,
    Report,
    read_report,
    write_report,
)
from microdemucs.audio_facts import AudioFacts

FACTS = AudioFacts(
    container="flac",
    codec="flac",
    sample_rate=48_000,
    channels=1,
    seconds=1.5,
    declared_seconds=None,
    bits=None,
    missing_seconds=0.0,
    ends_early=False,
    length=66_150,
    mean=0.1 + 0.2,
    standard_deviation=1e-17,
    is_clipped=False,
    tags={},
    warnings=[],
)


ACCEPTED = AudioAccepted(FACTS, "iVBORw==")


@pytest.mark.parametrize(
    "report", [ACCEPTED, AudioRejected("corrupt", "damaged")], ids=["accepted", "rejected"]
)
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    assert read_report(write_report(report)) == report


def test_a_report_that_was_cut_off_cannot_be_read() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_report(write_report(ACCEPTED)[:-1])


def test_a_report_has_the_bytes_of_the_cover() -> None:
    assert ACCEPTED.cover == b"\x89PNG"
