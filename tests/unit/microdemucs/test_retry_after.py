"""The Retry-After header."""

import time
from email.utils import formatdate
from random import Random

import pytest

from microdemucs.retry_after import LONGEST_S, parse_retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 7 ", 7), ("0", 0), ("9" * 9, LONGEST_S), ("9" * 400, LONGEST_S)],
)
def test_seconds(header: str, seconds: float) -> None:
    assert parse_retry_after(header) == seconds


def test_a_date_counts_from_now() -> None:
    seconds = parse_retry_after(formatdate(time.time() + 100, usegmt=True))
    assert seconds is not None
    assert 97 < seconds <= 100


def test_a_date_without_a_zone_is_in_utc() -> None:
    in_utc = time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(time.time() + 100))
    seconds = parse_retry_after(in_utc)
    assert seconds is not None
    assert 97 < seconds <= 100


def test_a_date_in_the_past_is_now() -> None:
    assert parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0


def test_a_date_in_the_far_future_is_limited() -> None:
    assert parse_retry_after("Fri, 31 Dec 2100 23:59:59 GMT") == LONGEST_S


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "-5", "soon", "٣", "²", "1.5", "Fri, 99 Dec 9999", "nan", "inf", "\x00"),
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "1" * 5000,
        "(" * 5000,
    ],
)
def test_a_header_that_cannot_be_read_is_ignored(header: str | None) -> None:
    assert parse_retry_after(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 2024 00:00:00 -99999999999999999999",
        "Mon, 01 Jan 9999 00:00:00 -9999",
        "Mon, 01 Jan 0001 00:00:00 +9999",
        "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
    ],
)
def test_an_absurd_date_is_limited_or_ignored(header: str) -> None:
    assert _is_seconds_or_none(parse_retry_after(header))


def test_every_mixture_of_a_dates_words_is_seconds_or_nothing() -> None:
    random = Random(14)
    words = ["Mon,", "Jan", "GMT", "+0100", "-" * 9, "+" + "9" * 30, "0", "31", "9999", "10:0:99"]
    words += [":", "9" * 30, "(", '"', "\ud800", "٣", "1e9", "\n"]
    for _ in range(20_000):
        header = " ".join(random.choices(words, k=random.randint(1, 7)))
        assert _is_seconds_or_none(parse_retry_after(header)), header


def _is_seconds_or_none(seconds: float | None) -> bool:
    return seconds is None or 0 <= seconds <= LONGEST_S
