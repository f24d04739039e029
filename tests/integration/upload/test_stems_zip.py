"""The zip of all stems, from a real store and a real server."""

import io
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from microdemucs.jobs import JobRecord
from testing.function_process import function_process
from testing.job_writer import JobWriter, new_job
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient
from tests.integration.upload.store_relay import serve_with_relay

STEMS = {"drums.mp3": os.urandom(300_000), "bass.mp3": b"bass", "other.mp3": b""}
MB = 1_000_000


@pytest.fixture(scope="module")
def done(client: WebClient, job_writer: JobWriter) -> JobRecord:
    """A job with stems, whose song has a name that is not ASCII."""
    record = job_writer.finish(new_job(f"form/{uuid.uuid4().hex}/Größe.mp3"), STEMS)
    wait_until(lambda: client.head(path_of(record)).status_code == 200)
    return record


def path_of(job: JobRecord) -> str:
    return f"/apiv1/jobs/{job.id}/stems.zip"


def kind(response: object) -> str:
    return str(response.json["type"].rpartition(":")[2])  # type: ignore[attr-defined]


def test_the_zip_has_every_stem_with_its_bytes_and_name(client: WebClient, done: JobRecord) -> None:
    response = client.get(path_of(done))
    assert (response.status_code, response.content_type) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(response.data)) as archive:
        assert archive.testzip() is None
        found = {info.filename: archive.read(info) for info in archive.infolist()}
    assert found == {f"Größe - {file}": data for file, data in STEMS.items()}


@pytest.mark.skipif(not shutil.which("unzip"), reason="there is no unzip")
def test_unzip_finds_no_fault(client: WebClient, done: JobRecord, tmp_path: Path) -> None:
    (tmp_path / "stems.zip").write_bytes(client.get(path_of(done)).data)
    test = subprocess.run(["unzip", "-t", "stems.zip"], cwd=tmp_path, capture_output=True)
    assert test.returncode == 0, test.stdout


def test_the_zip_is_named_for_the_song_and_has_a_length(client: WebClient, done: JobRecord) -> None:
    response = client.get(path_of(done))
    assert response.headers["Content-Length"] == str(len(response.data))
    assert response.headers["Content-Disposition"] == (
        'attachment; filename="Gr__e - stems.zip"; '
        "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20-%20stems.zip"
    )


def test_head_has_the_same_headers_without_the_bytes(client: WebClient, done: JobRecord) -> None:
    head, whole = client.head(path_of(done)), client.get(path_of(done))
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "Content-Type", "Content-Disposition"):
        assert head.headers[name] == whole.headers[name]


def test_a_zip_needs_a_token_like_the_tracks(
    serve: Callable[..., WebClient], done: JobRecord
) -> None:
    client = serve(API_TOKENS="t")
    assert client.get(path_of(done)).status_code == 401
    wait_until(
        lambda: client.get(path_of(done), headers={"Authorization": "Bearer t"}).status_code == 200
    )


def test_an_unfinished_job_has_no_zip(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.write_record(new_job(f"{uuid.uuid4().hex}.mp3"))
    wait_until(lambda: kind(client.get(path_of(record))) == "not-separated")


def test_a_job_with_a_removed_stem_has_no_zip(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), STEMS)
    wait_until(lambda: client.head(path_of(record)).status_code == 200)
    job_writer.stems.remove(f"{record.key}/bass.mp3")
    response = client.get(path_of(record))
    assert (response.status_code, kind(response)) == (404, "track-removed")
    assert "'bass.mp3'" in response.json["detail"]


def test_stems_of_another_job_are_not_in_the_zip(client: WebClient, job_writer: JobWriter) -> None:
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), STEMS)
    job_writer.write_stems(record.key, {"vocals.mp3": b"v"}, job="1" * 32)
    wait_until(lambda: kind(client.get(path_of(record))) == "track-removed")


def test_a_hand_made_size_in_the_manifest_does_not_break_the_zip(
    client: WebClient, job_writer: JobWriter
) -> None:
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), STEMS)
    job_writer.stems.write(f"{record.key}/bass.mp3", b"another length", "audio/mpeg")
    wait_until(lambda: client.head(path_of(record)).status_code == 200)
    with zipfile.ZipFile(io.BytesIO(client.get(path_of(record)).data)) as archive:
        assert archive.read(f"{record.key[:-4]} - bass.mp3") == b"another length"


def write_large(job_writer: JobWriter, address: str, size: int) -> JobRecord:
    stems = {f"{name}.wav": bytes(size) for name in ("drums", "bass", "other", "vocals")}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), stems)
    wait_until(lambda: urllib3.request("HEAD", address + path_of(record)).status == 200)
    return record


def test_a_stem_that_disappears_meanwhile_breaks_the_download_off(
    process: str, job_writer: JobWriter
) -> None:
    record = write_large(job_writer, process, 30 * MB)
    response = urllib3.request(
        "GET", process + path_of(record), preload_content=False, retries=False
    )
    with closing(response):
        response.read(1000)
        job_writer.stems.remove(f"{record.key}/vocals.wav")
        with pytest.raises(HTTPError):
            read_on(response)


def test_a_store_that_fails_midway_breaks_the_download_off(
    stack: Stack, job_writer: JobWriter, tmp_path: Path
) -> None:
    with serve_with_relay(stack, tmp_path / "output") as (address, cut):
        record = write_large(job_writer, address, 30 * MB)
        response = urllib3.request(
            "GET", address + path_of(record), preload_content=False, retries=False
        )
        with closing(response):
            response.read(1000)
            cut()
            with pytest.raises(HTTPError):
                read_on(response)


def test_memory_does_not_grow_with_the_stems(
    stack: Stack, job_writer: JobWriter, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "microdemucs.service", "upload"]
    with function_process(command, stack.connection("upload"), tmp_path / "output") as server:
        small = write_large(job_writer, server.url, MB)
        large = write_large(job_writer, server.url, 60 * MB)
        read_all(server.url + path_of(small))
        before = peak_memory(server.process.pid)
        assert read_all(server.url + path_of(large)) > 240 * MB
        assert peak_memory(server.process.pid) - before < 12 * MB


def read_all(url: str) -> int:
    with closing(urllib3.request("GET", url, preload_content=False)) as response:
        return read_on(response)


def read_on(response: BaseHTTPResponse) -> int:
    """Read to the end; return how many bytes came."""
    return sum(len(block) for block in response.stream(MB))


def peak_memory(pid: int) -> int:
    """Return the largest memory in bytes that one of the server's processes has had."""
    server = psutil.Process(pid)
    status = [Path(f"/proc/{one.pid}/status") for one in (server, *server.children())]
    lines = [line for file in status for line in file.read_text().splitlines()]
    return max(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
