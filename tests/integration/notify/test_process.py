"""The function as a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from cloudevents.conversion import to_binary
from standardwebhooks import Webhook

from microdemucs.bus import Bus
from microdemucs.paths import ROOT
from testing.function_process import function_process
from tests.integration.notify.events import (
    CALLBACK_SECRET,
    SECRET,
    delivery_due,
    delivery_message,
    put_webhook,
)
from tests.integration.notify.webhook_receiver import StartReceiver, WebhookReceiver

SERVICE = [sys.executable, "-m", "microdemucs.service", "notify"]
FRAMEWORK = [
    *(str(Path(sys.executable).parent / "functions-framework"), "--target", "notify"),
    *("--source", "functions/notify/main.py", "--host", "127.0.0.1"),
]


@contextlib.contextmanager
def running(command: list[str], settings: dict[str, str], output: Path) -> Iterator[str]:
    """Run the function, which writes to `output`; yield its URL once it is ready."""
    with function_process(command, settings, output) as function:
        yield function.url
    assert function.process.returncode == 0


def post_attempt(url: str, attempt: int) -> tuple[int, str | None]:
    headers, body = to_binary(delivery_due(delivery_message(), attempt))
    response = urllib3.request("POST", url, headers=headers, body=body, retries=False)
    return response.status, response.headers.get("Retry-After")


@pytest.mark.parametrize("command", [SERVICE, FRAMEWORK], ids=["service", "framework"])
class TestAFailedAndASuccessfulAttempt:
    @pytest.fixture
    def hook(
        self,
        command: list[str],
        settings: dict[str, str],
        registry: Bus,
        receiver: StartReceiver,
        tmp_path: Path,
    ) -> WebhookReceiver:
        """The receiver, once it has answered 500 and then 200."""
        hook = receiver((500, {}))
        put_webhook(registry, "w1", hook.url)
        with running(command, settings, tmp_path / "log") as url:
            assert post_attempt(url, 1) == (503, "5")
            assert post_attempt(url, 2) == (204, None)
        return hook

    def test_deliver_the_signed_body(self, hook: WebhookReceiver) -> None:
        _, headers, body = hook.requests[1]
        assert Webhook(SECRET).verify(body, headers) == {"ü": 1}

    def test_are_logged(self, hook: WebhookReceiver, tmp_path: Path) -> None:
        lines = (tmp_path / "log").read_text().splitlines()
        failed, delivered = [json.loads(line) for line in lines if "webhook" in line]
        assert failed["event"] == "webhook delivery failed"
        assert (failed["level"], failed["reason"]) == ("warning", "the receiver answered 500")
        assert delivered["event"] == "webhook delivered"
        assert delivered["receiver"] == f"http://127.0.0.1:{hook.port}"
        for line in (failed, delivered):
            assert (line["job"], line["trace"], line["delivery"]) == ("j", "t", "msg_1")

    @pytest.mark.usefixtures("hook")
    def test_write_no_secret_to_the_log(self, tmp_path: Path) -> None:
        log = (tmp_path / "log").read_text()
        for secret in (SECRET, CALLBACK_SECRET, "in-the-query"):
            assert secret not in log


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
