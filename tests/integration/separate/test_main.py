"""The function as a process of its own, called over HTTP."""

import http.client
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import urllib3
from cloudevents.http import CloudEvent
from minio import Minio

from microdemucs import result_store
from microdemucs.bucket import Bucket
from microdemucs.bus import JOBS, LEASES, Bus
from microdemucs.events import object_from_record
from microdemucs.jobs import JobRecord, job_id, song_digest
from microdemucs.paths import ROOT
from minio_events.forward import signed_request
from testing.events_secret import EVENTS_SECRET
from testing.function_process import function_process
from testing.waiting import wait_until
from tests.integration.separate import sounds

FRAMEWORK = [
    *(str(Path(sys.executable).parent / "functions-framework"), "--target", "separate"),
    *("--source", "functions/separate/main.py"),
]
SERVICE = [
    *(sys.executable, "-m", "microdemucs.service", "separate"),
    *("--preload", "functions.separate.preload"),
]

MakeEvent = Callable[..., CloudEvent]


def send(url: str, event: CloudEvent) -> urllib3.BaseHTTPResponse:
    headers, body = signed_request(event, EVENTS_SECRET)
    return urllib3.request("POST", url, headers=headers, body=body, retries=False, timeout=90)


def problem_kind(response: urllib3.BaseHTTPResponse) -> str:
    kind: str = response.json()["type"].rpartition(":")[2]
    return kind


@pytest.fixture
def put_event(root: Minio, request: pytest.FixtureRequest) -> MakeEvent:
    """Puts a song under the test's own name, and returns the event that the bridge would send."""

    def put(data: bytes, **metadata: str) -> CloudEvent:
        key = f"{request.node.originalname}/song.wav"
        stored: dict[str, str | list[str] | tuple[str]] = {**metadata}
        result = root.put_object("songs", key, io.BytesIO(data), len(data), metadata=stored)
        described = {
            "key": key,
            "size": len(data),
            "eTag": result.etag,
            "userMetadata": {f"X-Amz-Meta-{name}": value for name, value in metadata.items()},
        }
        record = {
            "eventTime": "2026-11-23T00:00:00Z",
            "s3": {"bucket": {"name": "songs"}, "object": described},
        }
        attributes = {"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "tests"}
        attributes |= {"subject": key, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        return CloudEvent(attributes, record)

    return put


def test_a_song_is_separated_under_plain_functions_framework(
    settings: dict[str, str], put_event: MakeEvent, stems: Bucket, tmp_path: Path
) -> None:
    event = put_event(sounds.file(sounds.music(1)))
    with function_process(FRAMEWORK, settings, tmp_path / "output") as function:
        response = send(function.url, event)
        assert (response.status, response.data) == (204, b""), (tmp_path / "output").read_text()
    manifest = result_store.read_manifest(stems, event["subject"])
    assert manifest
    assert len(manifest.stems) == 4
    assert manifest.trace == "a" * 32


NO_SONG = CloudEvent({"type": "com.amazonaws.s3.ObjectCreated:Put", "source": "tests"}, {})


@pytest.fixture(scope="module")
def patient(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a process with two threads, which waits ten minutes for a client."""
    limits = {"HEADER_SECONDS": "600", "STALL_SECONDS": "600", "THREADS": "2"}
    output = tmp_path_factory.mktemp("patient") / "output"
    with function_process(SERVICE, settings | limits, output) as function:
        yield function.url


def test_an_event_without_a_song_is_answered_400(patient: str) -> None:
    response = send(patient, NO_SONG)
    assert (response.status, problem_kind(response)) == (400, "no-song")


def test_an_event_that_is_not_signed_is_refused(patient: str) -> None:
    headers, body = signed_request(NO_SONG, "not-the-secret-of-the-bridge")
    response = urllib3.request("POST", patient, headers=headers, body=body)
    assert (response.status, problem_kind(response)) == (401, "unsigned-event")
    headers, body = signed_request(NO_SONG, EVENTS_SECRET)
    response = urllib3.request("POST", patient, headers=headers | {"Origin": "x"}, body=body)
    assert (response.status, problem_kind(response)) == (403, "cross-site")


def test_idle_connections_do_not_stop_the_function(patient: str) -> None:
    address = urlsplit(patient)
    with ExitStack() as connections:
        for sent in (b"", b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"):
            for _ in range(30):
                connection = socket.create_connection((address.hostname, address.port))
                connections.enter_context(connection).sendall(sent)
        for path in ("/healthz", "/readyz"):
            assert urllib3.request("GET", patient + path, timeout=30).status == 200
        assert send(patient, NO_SONG).status == 400


def test_a_process_takes_one_song_at_a_time_and_hands_it_back_on_sigterm(
    settings: dict[str, str], put_event: MakeEvent, stems: Bucket, bus: Bus, tmp_path: Path
) -> None:
    song = sounds.file(sounds.music(200, channels=1))
    event = put_event(song, shifts="20")  # takes longer than the grace period
    job = job_id(object_from_record(event.get_data()))

    def is_separating() -> bool:
        entry = bus.get(JOBS, job)
        return bool(entry and entry.value and b'"separating"' in entry.value)

    with (
        function_process(SERVICE, settings, tmp_path / "output") as function,
        ThreadPoolExecutor() as pool,
    ):
        first = pool.submit(send, function.url, event)
        wait_until(is_separating, 60)
        second = send(function.url, event)
        assert (second.status, second.headers["Retry-After"]) == (429, "1")
        assert problem_kind(second) == "busy"
        assert urllib3.request("GET", f"{function.url}/healthz").status == 200

        function.process.terminate()
        response = first.result(30)
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert problem_kind(response) == "stopping"
        assert function.process.wait(20) == 0
    entry = bus.get(JOBS, job)
    assert entry
    assert entry.value
    assert JobRecord.read(entry.value).state == "waiting"
    assert not bus.get(LEASES, song_digest(event["subject"]))
    assert result_store.read_manifest(stems, event["subject"]) is None
    lines = [json.loads(line) for line in (tmp_path / "output").read_text().splitlines()]
    assert {line["trace"] for line in lines if line["event"] == "job started"} == {"a" * 32}


def test_a_process_that_stood_still_begins_no_request_that_was_let_go(
    settings: dict[str, str], put_event: MakeEvent, stems: Bucket, bus: Bus, tmp_path: Path
) -> None:
    event = put_event(sounds.file(sounds.music(1)))
    headers, body = signed_request(event, EVENTS_SECRET)
    with function_process(SERVICE, settings | {"THREADS": "1"}, tmp_path / "output") as function:
        parent = psutil.Process(function.process.pid)
        processes = [parent, *parent.children(recursive=True)]
        for process in processes:
            process.suspend()
        address = urlsplit(function.url)
        for _ in range(3):
            client = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
            client.request("POST", "/", body, headers)
            client.close()
        for process in processes:
            process.resume()
        # Connections are accepted in their order, and there is one thread.
        assert wait_until(lambda: send(function.url, NO_SONG).status == 400)
    assert bus.get(JOBS, job_id(object_from_record(event.get_data()))) is None
    assert result_store.read_manifest(stems, event["subject"]) is None


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("PRECISION", "fp16", "one of auto, f32, bf16"),
        ("MP3_QUALITY", "best", "a whole number from 0 to 9"),
        ("ENGINE", "onnx", "one of auto, openvino, torch"),
        ("MAX_SONG_BYTES", "0", "a whole number from 1"),
    ],
)
def test_a_bad_setting_ends_the_process_at_its_start_with_one_line(
    settings: dict[str, str], name: str, value: str, accepted: str
) -> None:
    ended = subprocess.run(
        SERVICE,
        cwd=ROOT,
        env=os.environ | settings | {name: value, "PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 1
    [line] = (ended.stdout + ended.stderr).splitlines()
    assert line.startswith(f"separate: {name} is {value!r}: must be {accepted}")
