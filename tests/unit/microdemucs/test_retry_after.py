from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from microdemucs.retry_after import LONGEST_S, parse_retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("99999999999999999999", LONGEST_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
    ],
)
def test_a_header_in_seconds_from_now(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds


def test_a_date_in_the_future() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    assert parse_retry_after(header) == pytest.approx(60, abs=5)
