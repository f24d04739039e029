"""How an event becomes a request, and what a response means."""

import email.utils
import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.http import CloudEvent, from_http

from microdemucs.retry_after import LONGEST_S
from minio_events.forward import Accepted, Retry, Undeliverable, Verdict, binary_request, judge
from tests.unit.minio_events.events import EVENT


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Accepted()) for status in (200, 202, 204)),
        *((status, Retry(f"answer {status}", counted=False)) for status in (408, 425, 429)),
        *((status, Retry(f"answer {status}")) for status in (401, 500, 502, 503, 504, 599)),
        *(
            (status, Undeliverable(f"answer {status}"))
            for status in (301, 304, 400, 403, 404, 409, 415, 422)
        ),
    ],
)
def test_the_status_decides(status: int, verdict: Verdict) -> None:
    assert judge(status, None) == verdict


def retry_after(status: int, header: str) -> float | None:
    verdict = judge(status, header)
    assert isinstance(verdict, Retry)
    return verdict.after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("9" * 400, LONGEST_S),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
        *((invalid, None) for invalid in ("", "soon", "-5", "1.5", "5 s", "²", "٣", "12:00")),
        *((f"Wed, 00 Foo {year} 25:61:61 GMT", None) for year in ("2026", "0", "99999")),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_from_now(status: int, header: str, seconds: float | None) -> None:
    assert retry_after(status, header) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000"])  # as in HTTP, and as in mail
def test_retry_after_may_be_a_date(zone: str) -> None:
    date = datetime.now(UTC) + timedelta(seconds=100)
    header = email.utils.format_datetime(date, usegmt=True).replace("GMT", zone)
    assert 97 < (retry_after(503, header) or 0) < 101


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        ("dir/a b+ü 100%.mp3", "dir/a%20b+%C3%BC%20100%25.mp3"),
        ('say "no".mp3', "say%20%22no%22.mp3"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),  # the example of the specification
        ("x%2Fy.MP3", "x%252Fy.MP3"),
        ("line\r\nbreak\x00\x7f.mp3", "line%0D%0Abreak%00%7F.mp3"),
        ("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ],
)
def test_an_attribute_is_percent_encoded_as_a_header(subject: str, header: str) -> None:
    """CloudEvents HTTP binding 1.0.2, section 3.1.3.2."""
    headers, _ = binary_request(CloudEvent(EVENT | {"subject": subject}, {"n": 1}))
    assert headers["ce-subject"] == header


def test_an_event_becomes_a_request_in_binary_mode() -> None:
    headers, body = binary_request(CloudEvent(EVENT, {"n": 1}))
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"n": 1}
    attributes = from_http(headers, body).get_attributes()
    assert attributes["specversion"] == "1.0"
    assert {name: attributes[name] for name in EVENT} == EVENT


def test_the_trace_is_also_a_header_of_its_own() -> None:
    headers, _ = binary_request(CloudEvent(EVENT, {"n": 1}))
    assert headers["traceparent"] == EVENT["traceparent"]


def test_the_content_type_is_not_encoded() -> None:
    content_type = "application/json; charset=utf-8"
    headers, _ = binary_request(CloudEvent(EVENT | {"datacontenttype": content_type}, {}))
    assert headers["content-type"] == content_type
