"""The subscriber of the example's Trigger (knative/overlays/eventing)."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import urllib3
import yaml

from local.ports import free_port
from microdemucs.paths import ROOT
from testing.waiting import wait_until


def test_the_example_logs_each_event_on_a_line_of_its_own() -> None:
    documents = yaml.safe_load_all((ROOT / "knative/overlays/eventing/example.yaml").read_text())
    [deployment] = [each for each in documents if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    port = free_port()
    [source] = container["args"]
    command = [sys.executable, *container["command"][1:], source.replace("8080", str(port))]
    example = subprocess.Popen(command, stdout=subprocess.PIPE)
    http = urllib3.PoolManager(maxsize=8, retries=False)

    def send(number: int) -> bool:
        headers = {"ce-type": "test", "ce-subject": str(number)}
        with suppress(urllib3.exceptions.NewConnectionError):
            return http.request("POST", f"http://127.0.0.1:{port}/", headers=headers).status == 204
        return False

    try:
        wait_until(lambda: send(0))
        with ThreadPoolExecutor(8) as clients:
            assert all(clients.map(send, range(400)))
    finally:
        example.kill()
        output, _ = example.communicate()
    events = [json.loads(line) for line in output.splitlines()]
    assert {event["subject"] for event in events} == {str(number) for number in range(400)}
