import subprocess
import sys
from pathlib import Path

import urllib3

from local.ports import free_port
from microdemucs.paths import ROOT
from testing.faults.receiver import read_received
from testing.waiting import wait_until


def test_a_delivery_that_was_answered_is_in_the_file_of_a_killed_receiver(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "received.jsonl"
    command = [sys.executable, "-m", "testing.faults.receiver", str(port), str(file)]
    receiver = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}/webhook"

    def is_answered() -> bool:
        try:
            headers = {"webhook-id": "msg_a"}
            return (
                urllib3.request("POST", url, body=b"{}", headers=headers, retries=False).status
                == 204
            )
        except urllib3.exceptions.HTTPError:
            return False

    wait_until(is_answered, 30, "the receiver answers")
    receiver.kill()
    receiver.wait()
    [received], _ = read_received(file)
    assert (received.path, received.id, received.body) == ("/webhook", "msg_a", "{}")
