"""The function as a process of its own."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import urllib3
from cloudevents.http import CloudEvent
from standardwebhooks import Webhook

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.paths import ROOT
from minio_events.forward import binary_request, signed_request
from testing.events_secret import EVENTS_SECRET
from testing.function_process import function_process
from testing.http_receiver import Request
from tests.integration.notify.events import (
    CALLBACK_SECRET,
    SECRET,
    delivery_due,
    delivery_message,
    put_webhook,
)
from tests.integration.notify.webhook_receiver import WebhookReceiver

SERVICE = [sys.executable, "-m", "microdemucs.service", "notify"]
FRAMEWORK = [
    *(str(Path(sys.executable).parent / "functions-framework"), "--target", "notify"),
    *("--source", "functions/notify/main.py", "--host", "127.0.0.1"),
]


class Exchange(NamedTuple):
    """Two attempts of one delivery, and what they left behind."""

    responses: list[tuple[int, str | None]]
    """The function's status and Retry-After for each attempt."""
    received: list[Request]
    receiver: str
    log: str


@pytest.fixture(scope="module", params=[SERVICE, FRAMEWORK], ids=["service", "framework"])
def exchange(
    request: pytest.FixtureRequest,
    settings: dict[str, str],
    session_registry: Bus,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exchange:
    """A process has made two attempts: the receiver answered 500, then 200. The process ended."""
    log = tmp_path_factory.mktemp("process") / "log"
    hook = WebhookReceiver((500, {}))
    put_webhook(session_registry, "w1", hook.url)
    try:
        with function_process(request.param, settings, log) as function:
            responses = [post_attempt(function.url, attempt) for attempt in (1, 2)]
        assert function.process.returncode == 0
    finally:
        session_registry.delete(WEBHOOKS, "w1")
        hook.close()
    return Exchange(responses, hook.requests, f"http://127.0.0.1:{hook.port}", log.read_text())


def post_attempt(url: str, attempt: int) -> tuple[int, str | None]:
    event = delivery_due(delivery_message(), attempt)
    headers, body = signed_request(event, EVENTS_SECRET)
    response = urllib3.request("POST", url, headers=headers, body=body, retries=False)
    return response.status, response.headers.get("Retry-After")


def test_the_failed_attempt_asks_for_a_retry(exchange: Exchange) -> None:
    assert exchange.responses == [(503, "5"), (204, None)]


def test_the_receiver_gets_the_signed_body(exchange: Exchange) -> None:
    request = exchange.received[1]
    assert Webhook(SECRET).verify(request.body, request.headers) == {"ü": 1}


def test_both_attempts_are_logged(exchange: Exchange) -> None:
    lines = [json.loads(line) for line in exchange.log.splitlines() if "webhook" in line]
    failed, delivered = lines
    assert failed["event"] == "webhook delivery failed"
    assert (failed["level"], failed["reason"]) == ("warning", "the receiver answered 500")
    assert delivered["event"] == "webhook delivered"
    for line in lines:
        assert line["receiver"] == exchange.receiver
        assert (line["job"], line["trace"], line["delivery"]) == ("j", "t", "msg_1")


@pytest.mark.parametrize("command", [SERVICE, FRAMEWORK], ids=["service", "framework"])
def test_only_the_bridge_can_make_an_attempt(
    command: list[str], settings: dict[str, str], session_registry: Bus, tmp_path: Path
) -> None:
    hook = WebhookReceiver((200, {}))
    put_webhook(session_registry, "w1", hook.url)
    event = delivery_due(delivery_message())
    unsigned, body = binary_request(event)
    signed, _ = signed_request(event, EVENTS_SECRET)
    plain = {"content-type": "text/plain"}
    structured = b'{"specversion": "1.0", "id": "x", "source": "n", "type": "t", "data": {}}'
    try:
        with function_process(command, settings, tmp_path / "log") as function:
            statuses = [
                urllib3.request("POST", function.url, headers=headers, body=sent).status
                for headers, sent in (
                    (unsigned, body),
                    (signed | {"Origin": "http://127.0.0.1:1"}, body),
                    (signed | {"Sec-Fetch-Site": "same-site"}, body),
                    (signed | {"Host": "evil.example"}, body),
                    (signed, body.replace(b"msg_1", b"msg_2")),
                    (plain, structured),
                )
            ]
    finally:
        session_registry.delete(WEBHOOKS, "w1")
        hook.close()
    assert statuses == [401, 403, 403, 403, 401, 415]
    assert hook.requests == []


def test_idle_connections_do_not_stop_the_function(
    settings: dict[str, str], tmp_path: Path
) -> None:
    patient = settings | {"HEADER_SECONDS": "600", "STALL_SECONDS": "600", "THREADS": "2"}
    with ExitStack() as ends:
        function = ends.enter_context(function_process(SERVICE, patient, tmp_path / "log"))
        address = urlsplit(function.url)
        for sent in (b"", b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"):
            for _ in range(30):
                connection = socket.create_connection((address.hostname, address.port))
                ends.enter_context(connection).sendall(sent)
        for path in ("/healthz", "/readyz"):
            assert urllib3.request("GET", function.url + path, timeout=30).status == 200
        event = CloudEvent({"type": "com.example.other", "source": "s"}, {})
        headers, body = signed_request(event, EVENTS_SECRET)
        answer = urllib3.request("POST", function.url, headers=headers, body=body, timeout=30)
        assert answer.status == 204


@pytest.mark.parametrize("secret", [SECRET, CALLBACK_SECRET, "in-the-query"])
def test_the_log_does_not_show(secret: str, exchange: Exchange) -> None:
    assert secret not in exchange.log


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("LINK_HOURS", "long", "LINK_HOURS is 'long': must be a number from 0.01 to 168"),
        (
            "CALLBACK_SECRET",
            "whsec_c2hvcnQ=",
            "CALLBACK_SECRET must be whsec_ and base64 of 24 to 64 random bytes",
        ),
    ],
    ids=["plain", "secret"],
)
def test_a_bad_setting_ends_the_process_with_one_line_that_names_it(
    name: str, value: str, line: str
) -> None:
    env = os.environ | {"CALLBACK_SECRET": CALLBACK_SECRET, name: value}
    ended = subprocess.run(SERVICE, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"notify: {line}\n")
