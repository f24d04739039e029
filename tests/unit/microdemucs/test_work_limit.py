"""Jobs that are too much work, and what their problems say."""

import pytest

from microdemucs.options import Options
from microdemucs.problems import Rejected
from microdemucs.work_estimate import WorkEstimate
from microdemucs.work_limit import WorkLimit

ESTIMATE = WorkEstimate(passes=20, windows=1_440_381, network_seconds=11_234_972, output_bytes=9000)


def test_a_job_within_the_limit_is_accepted() -> None:
    WorkLimit(network_seconds=11_234_972, output_bytes=9000).check(ESTIMATE, Options())


def test_without_a_limit_every_job_is_accepted() -> None:
    WorkLimit().check(ESTIMATE, Options())


def test_too_much_work_is_rejected_with_the_work_the_limit_and_what_to_change() -> None:
    options = Options(shifts=20, overlap=0.9, segment=1)
    with pytest.raises(Rejected) as caught:
        WorkLimit(network_seconds=50_000).check(ESTIMATE, options)
    assert caught.value.body() == {
        "type": "urn:micro-demucs:problem:too-much-work",
        "title": "Separating the song with these options is too much work",
        "status": 422,
        "detail": "it puts 11234972 s of audio through a network, over all passes; at most 50000 s "
        "are accepted: send fewer shifts than 20, less overlap than 0.9, a longer "
        "segment than 1 s, or none, a model of fewer networks, or a shorter song",
        "network_seconds": 11_234_972,
        "limit": 50_000,
    }


def test_options_that_cost_nothing_are_not_blamed_for_the_work() -> None:
    with pytest.raises(Rejected) as caught:
        WorkLimit(network_seconds=50_000).check(ESTIMATE, Options())
    assert caught.value.detail.endswith("send a model of fewer networks, or a shorter song")


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (Options(), "a lower bitrate than 320, fewer stems, or a shorter song"),
        (
            Options(format="wav", bits=32),
            "the format mp3, fewer bits than 32, fewer stems, or a shorter song",
        ),
        (Options(format="flac"), "the format mp3, fewer stems, or a shorter song"),
    ],
    ids=["mp3", "wav", "flac"],
)
def test_too_much_output_is_rejected_with_the_bytes_the_limit_and_what_to_change(
    options: Options, advice: str
) -> None:
    with pytest.raises(Rejected) as caught:
        WorkLimit(output_bytes=8999).check(ESTIMATE, options)
    assert caught.value.kind == "too-much-output"
    assert caught.value.extensions == {"output_bytes": 9000, "limit": 8999}
    assert caught.value.detail == (
        f"they may take 9000 bytes; at most 8999 are accepted: send {advice}"
    )


@pytest.mark.parametrize(
    ("options", "least"),
    [
        (Options(), 4 / 3),
        (Options(overlap=0), 1),
        (Options(overlap=0.9), 10),
        (Options(shifts=1), 4 / 3),
        (Options(shifts=20, overlap=0.5), 40),
    ],
)
def test_a_second_of_a_song_is_at_least_so_much_work_with_every_model(
    options: Options, least: float
) -> None:
    WorkLimit(network_seconds=least * 1.001).check_least(1, options)
    with pytest.raises(Rejected, match="at most"):
        WorkLimit(network_seconds=least * 0.999).check_least(1, options)


@pytest.mark.parametrize(
    ("options", "stems"),
    [(Options(), 1), (Options(two_stems="vocals"), 2), (Options(stems=("a", "b", "c")), 3)],
)
def test_a_song_has_at_least_so_many_stems_with_every_model(options: Options, stems: int) -> None:
    WorkLimit(output_bytes=stems * 40_000).check_least(1, options)
    with pytest.raises(Rejected, match="fewer stems"):
        WorkLimit(output_bytes=stems * 40_000 - 1).check_least(1, options)
