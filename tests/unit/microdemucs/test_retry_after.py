"""The Retry-After header."""

import time
from email.utils import formatdate

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


@pytest.mark.parametrize("header", [None, "", "-5", "soon", "٣", "²", "1.5", "Fri, 99 Dec 9999"])
def test_a_header_that_cannot_be_read_is_ignored(header: str | None) -> None:
    assert parse_retry_after(header) is None
