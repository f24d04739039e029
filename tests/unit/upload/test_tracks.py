from datetime import UTC, datetime

import pytest
from werkzeug.http import http_date, parse_range_header

from functions.upload.tracks import is_range_wanted, match_file, resolve_range
from microdemucs.problems import Problem

FILES = ["drums.flac", "bass.flac", "no_vocals.flac"]
MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("drums", "drums.flac"),
        ("drums.flac", "drums.flac"),
        ("base", "bass.flac"),
        ("base.flac", "bass.flac"),
        ("no_vocals", "no_vocals.flac"),
    ],
)
def test_a_track_is_named_with_or_without_its_suffix(name: str, file: str) -> None:
    assert match_file(FILES, name) == file


@pytest.mark.parametrize("name", ["drums.wav", "drum", "DRUMS", "vocals", ""])
def test_an_unknown_track_is_named_with_those_that_exist(name: str) -> None:
    with pytest.raises(Problem) as raised:
        match_file(FILES, name)
    assert (raised.value.status, raised.value.kind) == (404, "unknown-track")
    assert raised.value.extensions == {"tracks": FILES}
    assert raised.value.detail == (
        f"'{name}' is not one of its tracks: drums.flac, bass.flac, no_vocals.flac"
    )


@pytest.mark.parametrize(
    ("header", "byte_range"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=0-999", (0, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-100", (0, 100)),
        ("bytes=-101", (0, 100)),
        ("bytes=100-", None),
        ("bytes=100-101", None),
    ],
)
def test_a_range_of_100_bytes_is_resolved(header: str, byte_range: tuple[int, int] | None) -> None:
    requested = parse_range_header(header)
    assert requested is not None
    assert resolve_range(requested, 100) == byte_range


def is_wanted(header: str, if_range: str = "") -> bool:
    requested = parse_range_header(header)
    assert requested is not None
    return is_range_wanted(requested, if_range, "tag", MODIFIED)


def test_one_byte_range_is_answered_in_part() -> None:
    assert is_wanted("bytes=0-9")


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "lines=1-2"])
def test_several_ranges_and_other_units_are_answered_whole(header: str) -> None:
    assert not is_wanted(header)


@pytest.mark.parametrize("if_range", ['"tag"', http_date(MODIFIED)])
def test_a_range_of_the_same_version_is_answered_in_part(if_range: str) -> None:
    assert is_wanted("bytes=0-9", if_range)


@pytest.mark.parametrize(
    "if_range", ['"other"', 'W/"tag"', http_date(datetime(2026, 1, 1, tzinfo=UTC))]
)
def test_a_range_of_another_version_is_answered_whole(if_range: str) -> None:
    assert not is_wanted("bytes=0-9", if_range)
