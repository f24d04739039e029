import json
from dataclasses import asdict

import msgspec
import pytest

from functions.separate.audio.decoder_report import DecoderReport, Rejection
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
    tags={"title": "Jóga"},
    warnings=["it has 6 channels"],
)


@pytest.mark.parametrize(
    "report",
    [DecoderReport(audio=FACTS, cover_base64="iVBORw=="), DecoderReport(Rejection("x", "damaged"))],
    ids=["accepted", "rejected"],
)
def test_the_parent_reads_a_report_as_the_child_wrote_it(report: DecoderReport) -> None:
    written = json.dumps(asdict(report))
    assert msgspec.json.decode(written, type=DecoderReport) == report
