import msgspec
import pytest

from functions.separate.audio.decoder_report import AudioRejected, read_report, write_report
from microdemucs.audio_facts import AudioFacts

FACTS = AudioFacts(
    container="flac",
    codec="flac",
    sample_rate=48_000,
    channels=1,
    seconds=1.5,
    declared_seconds=None,
    packets=17,
    bad_packets=1,
    length=66_150,
    mean=0.1 + 0.2,
    standard_deviation=1e-17,
)


@pytest.mark.parametrize("report", [FACTS, AudioRejected("corrupt", "damaged")], ids=["ok", "bad"])
def test_a_report_is_read_as_it_was_written(report: AudioFacts | AudioRejected) -> None:
    assert read_report(write_report(report)) == report


def test_a_report_that_was_cut_off_cannot_be_read() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_report(write_report(FACTS)[:-1])
