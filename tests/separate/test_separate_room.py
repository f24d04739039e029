"""The function as it runs: a process of its own, asked over HTTP."""

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sounds
import urllib3
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent
from minio import Minio

from microdemucs.bus import Bus
from microdemucs.store import read_json

ROOT = Path(__file__).parents[2]
FRAMEWORK = [
    *(str(Path(sys.executable).parent / "functions-framework"), "--target", "separate"),
    *("--source", "functions/separate/main.py"),
]
ROOM = [sys.executable, "-m", "microdemucs.room", "separate"]


def until(told: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.05)


@contextlib.contextmanager
def running(
    command: list[str], settings: dict[str, str], port: int, output: Path
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Run the function until the end of the block; its address, once it is ready."""
    env = os.environ | settings | {"HOST": "127.0.0.1", "PORT": str(port)}
    with output.open("wb") as written:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=written, stderr=written)
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, output.read_text()
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{address}/readyz", retries=False).status == 200
        return False

    try:
        until(ready)
        yield address, process
    finally:
        process.terminate()
        process.wait(20)


def send(address: str, event: CloudEvent) -> urllib3.BaseHTTPResponse:
    headers, body = to_binary(event)
    return urllib3.request("POST", address, headers=headers, body=body, retries=False, timeout=90)


@pytest.fixture
def event(root: Minio, request: pytest.FixtureRequest) -> Callable[..., CloudEvent]:
    """Put a song under the test's own name, and give the event that the bridge would send."""

    def put(data: bytes, **metadata: str) -> CloudEvent:
        key = f"{request.node.originalname}/{request.node.callspec.id}.wav"
        answer = root.put_object("songs", key, io.BytesIO(data), len(data))
        described = {"key": key, "size": len(data), "eTag": answer.etag}
        described["userMetadata"] = {f"X-Amz-Meta-{name}": v for name, v in metadata.items()}
        record = {
            "eventTime": "2026-11-23T00:00:00Z",
            "s3": {"bucket": {"name": "songs"}, "object": described},
        }
        attributes = {"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "tests"}
        attributes |= {"subject": key, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        return CloudEvent(attributes, record)

    return put


@pytest.mark.parametrize("command", [ROOM, FRAMEWORK], ids=["room", "framework"])
def test_it_separates_under_both_servers(
    command, stack, event, root: Minio, bus: Bus, free_port: int, tmp_path: Path
):
    song = event(sounds.file(sounds.music(1)))
    with running(command, stack, free_port, tmp_path / "output") as (address, _):
        answer = send(address, song)
        assert (answer.status, answer.data) == (204, b""), (tmp_path / "output").read_text()
    manifest = read_json(root, "stems", f"{song['subject']}/manifest.json")
    assert len(manifest["stems"]) == 4
    assert manifest["trace"] == "a" * 32
