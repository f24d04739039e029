"""The function as it runs: a process of its own, asked over HTTP."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent
from minio import Minio

from microdemucs.bus import JOBS, LEASES, Bus, Entry
from microdemucs.events import object_from_record
from microdemucs.jobs import JobRecord, job_id, song_digest
from microdemucs.store import read_json
from testing.function_process import function_process
from testing.waiting import wait_until
from tests.integration.separate import sounds

FRAMEWORK = [
    *(str(Path(sys.executable).parent / "functions-framework"), "--target", "separate"),
    *("--source", "functions/separate/main.py"),
]
ROOM = [sys.executable, "-m", "microdemucs.service", "separate"]


@contextlib.contextmanager
def running(
    command: list[str], settings: dict[str, str], output: Path
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Run the function until the end of the block; its address, once it is ready."""
    with function_process(command, settings, output) as function:
        yield function.url, function.process


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


@pytest.mark.parametrize("command", [FRAMEWORK], ids=["framework"])
def test_it_separates_under_plain_functions_framework(
    command, settings, event, root: Minio, tmp_path: Path
):
    song = event(sounds.file(sounds.music(1)))
    with running(command, settings, tmp_path / "output") as (address, _):
        answer = send(address, song)
        assert (answer.status, answer.data) == (204, b""), (tmp_path / "output").read_text()
    manifest = read_json(root, "stems", f"{song['subject']}/manifest.json")
    assert len(manifest["stems"]) == 4
    assert manifest["trace"] == "a" * 32


@pytest.mark.parametrize("command", [ROOM], ids=["room"])
def test_the_room_takes_one_song_refuses_what_is_none_and_hands_back_on_sigterm(
    command, settings, event, root: Minio, bus: Bus, tmp_path: Path
):
    long = event(sounds.file(sounds.music(200, channels=1)))
    short = settings | {"GRACE_SECONDS": "4"}
    with running(command, short, tmp_path / "output") as (address, process):
        nothing = CloudEvent({"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "tests"}, {})
        answer = send(address, nothing)
        assert (answer.status, answer.json()["type"]) == (400, "urn:micro-demucs:problem:no-song")

        with ThreadPoolExecutor() as pool:
            first = pool.submit(send, address, long)
            job = job_id(object_from_record(long.get_data()))
            wait_until(
                lambda: b'"separating"' in (bus.get(JOBS, job) or Entry("", b"", 0)).value, 60
            )
            second = send(address, long)
            assert (second.status, second.headers["Retry-After"]) == (429, "1")
            assert second.json()["type"] == "urn:micro-demucs:problem:busy"
            assert urllib3.request("GET", f"{address}/healthz").status == 200

            process.terminate()
            told = first.result(30)
        assert (told.status, told.headers["Retry-After"]) == (429, "1")
        assert told.json()["type"] == "urn:micro-demucs:problem:stopping"
        assert process.wait(20) == 0
    assert JobRecord.read(bus.get(JOBS, job).value).state == "waiting"
    assert not bus.get(LEASES, song_digest(long["subject"]))
    assert read_json(root, "stems", f"{long['subject']}/manifest.json") is None
    lines = [json.loads(line) for line in (tmp_path / "output").read_text().splitlines()]
    assert {line["trace"] for line in lines if line["event"] == "job started"} == {"a" * 32}
