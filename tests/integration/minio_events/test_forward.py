"""How an event is posted, and what its answer means."""

import asyncio
import contextlib
import email.utils
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from cloudevents.http import CloudEvent, from_http

from local.ports import free_port
from minio_events.forward import MAX_RETRY_AFTER_S, Accepted, Retry, Undeliverable, judge, post
from tests.integration.minio_events.functions import function

EVENT = {
    "id": "1",
    "source": "minio:s3..songs",
    "type": "com.amazonaws.s3.ObjectCreated:Put",
    "subject": "a.mp3",
    "datacontenttype": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def posted(url, subject="a.mp3", **timeouts):
    async def main():
        timeout = aiohttp.ClientTimeout(**({"total": 20} | timeouts))
        async with aiohttp.ClientSession(timeout=timeout) as session:
            return await post(session, url, CloudEvent(EVENT | {"subject": subject}, {"n": 1}))

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Accepted()) for status in (200, 202, 204)),
        *((status, Retry(f"answer {status}", counted=False)) for status in (408, 425, 429)),
        *((status, Retry(f"answer {status}")) for status in (500, 502, 503, 504, 599)),
        *(
            (status, Undeliverable(f"answer {status}"))
            for status in (301, 304, 400, 401, 404, 409, 422)
        ),
    ],
)
def test_an_answer_means(status, verdict):
    assert judge(status, None) == verdict


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("9" * 400, MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        *((garbage, None) for garbage in ("", "soon", "-5", "1.5", "5 s", "²", "٣", "12:00")),
        *((f"Wed, 00 Foo {year} 25:61:61 GMT", None) for year in ("2026", "0", "99999")),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_from_now(status, said, seconds):
    assert judge(status, said).after == seconds


def test_retry_after_may_be_a_date():
    then = datetime.now(UTC) + timedelta(seconds=100)
    for zone in (True, False):  # "GMT" as HTTP says it, and "-0000" as mail does
        said = email.utils.format_datetime(then, usegmt=True) if zone else None
        said = said or email.utils.format_datetime(then.replace(tzinfo=None))
        assert 97 < judge(503, said).after < 101, said


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        ("dir/a b+ü 100%.mp3", "dir/a%20b+%C3%BC%20100%25.mp3"),
        ('say "no".mp3', "say%20%22no%22.mp3"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),  # the specification's own
        ("x%2Fy.MP3", "x%252Fy.MP3"),
        ("line\r\nbreak\x00\x7f.mp3", "line%0D%0Abreak%00%7F.mp3"),
        ("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ],
)
def test_an_attribute_is_a_header_with_what_it_cannot_hold_percent_encoded(subject, header):
    """CloudEvents HTTP binding 1.0.2, section 3.1.3.2."""
    with function() as receiver:
        assert posted(receiver.url, subject) == Accepted()
    assert receiver.subjects() == [header]


def test_an_event_is_sent_in_binary_mode_with_its_trace():
    with function() as receiver:
        posted(receiver.url)
    [request] = receiver.got
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"n": 1}
    assert request.headers["traceparent"] == EVENT["traceparent"]
    read = from_http(request.headers, request.body)
    attributes = read.get_attributes()
    assert attributes["specversion"] == "1.0"
    assert {name: attributes[name] for name in EVENT} == EVENT


def test_a_header_that_is_no_attribute_is_left_as_it_is():
    async def main(url):
        async with aiohttp.ClientSession() as session:
            event = CloudEvent(EVENT | {"datacontenttype": "application/json; charset=utf-8"}, {})
            return await post(session, url, event)

    with function() as receiver:
        asyncio.run(main(receiver.url))
    assert receiver.got[0].headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    with function() as other, function(lambda _: (status, {"Location": other.url})) as receiver:
        assert posted(receiver.url) == Undeliverable(f"answer {status}")
        assert other.got == []


def test_a_function_that_is_not_there_is_no_failure_of_the_event():
    assert posted(f"http://127.0.0.1:{free_port()}") == Retry("no connection", counted=False)


def test_a_name_that_is_unknown_is_no_failure_of_the_event():
    assert posted("http://no-such-function.invalid") == Retry("no connection", counted=False)


def test_a_function_that_does_not_take_the_connection_is_no_failure_of_the_event():
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):  # all that its backlog takes
            filler = ends.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert posted(url, sock_connect=0.3) == Retry("no connection", counted=False)


@contextlib.contextmanager
def raw(talk):
    """A server that hands each connection, with its request read, to `talk`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    while b'{"n": 1}' not in connection.recv(65536):
                        pass
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"no\r\n"],
    ids=["nothing", "half a head", "half a body", "no HTTP"],
)
def test_a_connection_that_ends_before_the_answer_is_a_failure(said):
    with raw(lambda connection: connection.sendall(said)) as url:
        verdict = posted(url)
    assert isinstance(verdict, Retry)
    assert verdict.counted
    assert verdict.reason.startswith("connection lost")


def test_no_answer_in_time_is_a_failure():
    answered = threading.Event()
    with raw(lambda _: answered.wait(10)) as url:
        began = time.monotonic()
        assert posted(url, total=0.3) == Retry("no answer in time")
        assert time.monotonic() - began < 5
        answered.set()
