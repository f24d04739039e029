"""The function as it runs: a process of its own."""

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

from local.ports import free_port
from testing.stack import ROOT, wait_until
from tests.integration.notify.events import CALLBACK_SECRET, SECRET, delivery, due, register

FRAMEWORK = str(Path(sys.executable).parent / "functions-framework")
NOTIFY = "functions/notify/main.py"


@contextlib.contextmanager
def running(command: list[str], settings: dict[str, str], output: Path) -> Iterator[str]:
    """Run the function, which writes to `output`; gives its address once it is ready."""
    port = str(free_port())
    env = os.environ | settings | {"HOST": "127.0.0.1", "PORT": port}
    with output.open("wb") as written:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=written, stderr=written)
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, output.read_text()
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{address}/readyz", retries=False).status == 200
        return False

    try:
        wait_until(ready)
        yield address
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "microdemucs.service", "notify"],
        [FRAMEWORK, "--target", "notify", "--source", NOTIFY, "--host", "127.0.0.1"],
    ],
    ids=["room", "framework"],
)
def test_a_delivery_arrives_and_the_log_tells_of_it_without_secrets(
    command, settings, registry, receiver, tmp_path
):
    listening = receiver((500, {}))
    register(registry, "w1", listening.url)
    with running(command, settings, tmp_path / "log") as address:
        statuses = []
        for attempt in (1, 2):
            headers, body = to_binary(due(delivery(), attempt))
            answer = urllib3.request("POST", address, headers=headers, body=body, retries=False)
            statuses.append((answer.status, answer.headers.get("Retry-After")))
    assert statuses == [(503, "5"), (204, None)]
    _, headers, body = listening.got[1]
    assert Webhook(SECRET).verify(body, headers) == {"ü": 1}
    text = (tmp_path / "log").read_text()
    failed, delivered = [json.loads(line) for line in text.splitlines() if "webhook" in line]
    assert (failed["level"], failed["reason"]) == ("warning", "it answered 500")
    assert (delivered["job"], delivered["trace"], delivered["delivery"]) == ("j", "t", "msg_1")
    assert delivered["receiver"] == f"http://127.0.0.1:{listening.port}"
    for secret in (SECRET, CALLBACK_SECRET, "in-the-query"):
        assert secret not in text
