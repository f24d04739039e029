"""The estimate in a job's record."""

import json

import pytest

from microdemucs.jobs import JobRecord
from microdemucs.options import Options
from microdemucs.work_estimate import WorkEstimate, output_bytes

ESTIMATE = WorkEstimate(passes=1, windows=8, network_seconds=62.4, output_bytes=6_888_000)


def test_a_record_keeps_the_estimate() -> None:
    record = JobRecord(id="j", bucket="songs", key="a.mp3", etag="e", estimate=ESTIMATE)
    assert JobRecord.read(record.write()).estimate == ESTIMATE


def test_a_record_of_an_older_version_has_none() -> None:
    old = {"id": "j", "bucket": "songs", "key": "a.mp3", "etag": "e", "state": "running"}
    assert JobRecord.read(json.dumps(old).encode()).estimate is None


@pytest.mark.parametrize(
    ("options", "bytes_per_second"),
    [
        (Options(), 40_000),
        (Options(bitrate=128), 16_000),
        (Options(format="wav"), 176_400),
        (Options(format="wav", bits=32), 352_800),
        (Options(format="flac"), 176_400),
        (Options(format="flac", bits=24), 264_600),
    ],
    ids=["mp3", "mp3 of 128", "wav", "wav of 32 bits", "flac", "flac of 24 bits"],
)
def test_a_second_of_a_stem_takes_what_its_format_takes(
    options: Options, bytes_per_second: int
) -> None:
    assert output_bytes(1, 1, options) == bytes_per_second


def test_all_stems_and_seconds_count() -> None:
    assert output_bytes(4, 10, Options()) == 1_600_000
