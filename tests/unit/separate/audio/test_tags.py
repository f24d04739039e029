import pytest

from functions.separate.audio.tags import read_tags


def test_the_bytes_of_a_tag_are_kept() -> None:
    assert read_tags({"TITLE": " Bj\xf6rk \n"}) == {"title": "Bj\xf6rk"}


def test_a_long_tag_is_cut() -> None:
    assert read_tags({"title": "x" * 9999}) == {"title": "x" * 2000}


def test_the_first_that_has_a_tag_counts() -> None:
    found = read_tags({"title": "", "genre": "pop"}, {"title": "a", "Artist": "b"}, {"title": "c"})
    assert found == {"title": "a", "artist": "b"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"TBPM": "128", "TKEY": "F#m"},  # ID3v2
        {"BPM": "128", "INITIALKEY": "F#m"},  # Vorbis comments
        {"tmpo": "128", "initialkey": "F#m"},  # MP4
        {"WM/BeatsPerMinute": "128", "WM/InitialKey": "F#m"},  # WMA
        {"bpm": "128", "key": "F#m", "title": ""},
    ],
)
def test_tempo_and_key_have_many_names(metadata: dict[str, str]) -> None:
    assert read_tags(metadata) == {"bpm": "128", "key": "F#m"}


@pytest.mark.parametrize("bpm", ["0", "", "fast", "1280", "12,5", "-90", "1e2", "١٢٨"])
def test_a_tempo_that_is_no_number_is_left_out(bpm: str) -> None:
    assert read_tags({"TBPM": bpm}) == {}


@pytest.mark.parametrize("bpm", ["92", "92.5", "174.125"])
def test_a_tempo_may_have_decimals(bpm: str) -> None:
    assert read_tags({"TBPM": bpm}) == {"bpm": bpm}


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1999", "1999"),
        ("2020-03", "2020-03"),
        (" 2020-03-01 ", "2020-03-01"),
        ("2020-03-01T00:00:00Z", "2020-03-01"),
        ("2020-03-01 12:00", "2020-03-01"),
        ("2020/03/01", "2020"),
    ],
)
def test_a_date_is_a_year_a_month_or_a_day(text: str, date: str) -> None:
    assert read_tags({"DATE": text}) == {"date": date}


@pytest.mark.parametrize("date", ["", "0000", "99", "19990", "20200301", "c. 1970", "١٩٩٩"])
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    assert read_tags({"date": date}) == {}


@pytest.mark.parametrize("key", ["Am", "F#m", "8A", "C major", "Bbm"])
def test_a_key_may_be_in_any_notation(key: str) -> None:
    assert read_tags({"TKEY": key}) == {"key": key}


@pytest.mark.parametrize("key", ["x" * 13, "\xc4m", ""])
def test_a_key_that_is_none_is_left_out(key: str) -> None:
    assert read_tags({"TKEY": key}) == {}
