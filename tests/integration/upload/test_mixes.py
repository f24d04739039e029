"""Mixes from a real store and a real server, with a child process that encodes them."""

import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import urllib3
from urllib3.exceptions import HTTPError

from microdemucs.jobs import JobRecord
from microdemucs.problems import Problem
from testing.encoded_stems import decode, encode, lag, make_samples, signal_to_noise
from testing.function_process import FunctionProcess, function_process
from testing.job_writer import JobWriter, new_job
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient
from tests.integration.upload.store_relay import serve_with_relay

NAMES = ("drums", "bass", "other", "vocals")
LENGTH = 70_013
STEMS = {name: make_samples(seed, LENGTH) for seed, name in enumerate(NAMES)}
LONG_S = 400


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionProcess]:
    """The function as a process, which makes one mix at a time."""
    command = [sys.executable, "-m", "microdemucs.service", "upload"]
    settings = stack.connection("upload") | {"MIXES": "1", "STALL_SECONDS": "600"}
    output = tmp_path_factory.mktemp("function") / "output"
    with function_process(command, settings, output) as process:
        yield process


@pytest.fixture(scope="module")
def done(client: WebClient, job_writer: JobWriter) -> JobRecord:
    """A job with four stems of FLAC."""
    files = {f"{name}.flac": encode(stem, format="flac") for name, stem in STEMS.items()}
    record = job_writer.finish(
        new_job(f"form/{uuid.uuid4().hex}/Söng.mp3"), files, seconds=LENGTH / 44_100
    )
    wait_until(lambda: client.head(f"/apiv1/jobs/{record.id}/mix.mp3").status_code == 200)
    return record


@pytest.fixture(scope="module")
def long(server: FunctionProcess, job_writer: JobWriter) -> JobRecord:
    """A job whose mix takes a while, and is larger than what a socket holds."""
    block = make_samples(9, 44_100 * 20)
    data = encode(np.concatenate([block] * (LONG_S // 20), axis=1), format="flac")
    files = {f"{name}.flac": data for name in NAMES}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), files, seconds=LONG_S)
    wait_until(lambda: urllib3.request("HEAD", url_of(server.url, record)).status == 200)
    return record


def url_of(address: str, job: JobRecord, mix: str = "mix.flac") -> str:
    return f"{address}/apiv1/jobs/{job.id}/{mix}"


def get(client: WebClient, job: JobRecord, mix: str) -> Any:
    return client.get(f"/apiv1/jobs/{job.id}/{mix}")


def kind(response: Any) -> str:
    return str(response.json["type"].rpartition(":")[2])


def test_a_flac_is_the_sum_of_the_stems(client: WebClient, done: JobRecord) -> None:
    response = get(client, done, "mix.flac")
    assert (response.status_code, response.content_type) == (200, "audio/flac")
    mix = decode(response.data)
    assert mix.shape == (2, LENGTH)
    assert np.abs(mix - np.sum([*STEMS.values()], axis=0)).max() < 5 / 32768  # 5 roundings


def test_each_stem_has_its_volume_and_pan(client: WebClient, done: JobRecord) -> None:
    mix = decode(get(client, done, "mix.flac?drums=0.5&bass=0&vocals.pan=-1").data)
    drums, other, vocals = STEMS["drums"], STEMS["other"], STEMS["vocals"]
    assert np.abs(mix[0] - (0.5 * drums[0] + other[0] + vocals[0] + vocals[1])).max() < 5 / 32768
    assert np.abs(mix[1] - (0.5 * drums[1] + other[1])).max() < 5 / 32768


def test_an_mp3_is_the_sum_of_the_stems_and_in_time(client: WebClient, done: JobRecord) -> None:
    response = get(client, done, "mix.mp3")
    assert (response.status_code, response.content_type) == (200, "audio/mpeg")
    mix, expected = decode(response.data), np.sum([*STEMS.values()], axis=0)
    assert mix.shape == (2, LENGTH)
    assert lag(mix, expected) == 0
    assert signal_to_noise(mix, expected) > 30


def test_a_mix_of_mp3s_has_their_length(client: WebClient, job_writer: JobWriter) -> None:
    files = {f"{name}.mp3": encode(stem, format="mp3") for name, stem in STEMS.items()}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), files, seconds=2)
    wait_until(lambda: get(client, record, "mix.flac?drums=0").status_code == 200)
    mix, expected = (
        decode(get(client, record, "mix.mp3").data),
        np.sum([*STEMS.values()], axis=0),
    )
    assert mix.shape == (2, LENGTH)
    assert lag(mix, expected) == 0
    assert signal_to_noise(mix, expected) > 25


def test_a_mix_of_silent_stems_is_silence_of_their_length(
    client: WebClient, done: JobRecord
) -> None:
    mix = decode(get(client, done, "mix.flac?drums=0&bass=0&other=0&vocals=0").data)
    assert mix.shape == (2, LENGTH)
    assert not mix.any()


def test_the_file_is_named_for_the_song(client: WebClient, done: JobRecord) -> None:
    disposition = get(client, done, "mix.mp3").headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="S_ng - mix.mp3"')


def test_head_makes_no_mix(client: WebClient, done: JobRecord) -> None:
    head = client.head(f"/apiv1/jobs/{done.id}/mix.mp3")
    assert (head.status_code, head.content_type, head.data) == (200, "audio/mpeg", b"")


@pytest.mark.parametrize("mix", ["mix.wav", "mix.MP3", "mix.mp3?drums=5", "mix.mp3?kazoo=1"])
def test_what_is_not_accepted_is_refused(client: WebClient, done: JobRecord, mix: str) -> None:
    response = get(client, done, mix)
    assert (response.status_code, kind(response)) == (422, "bad-value")


@pytest.mark.parametrize(
    "data",
    [b"", b"no audio" * 1000, b"fLaC" + os.urandom(50_000), b"#EXTM3U\nfile:///etc/passwd\n"],
    ids=["empty", "text", "random", "a playlist"],
)
@pytest.mark.parametrize("mix", ["mix.mp3", "mix.flac"])
def test_a_hand_made_object_is_a_problem_and_not_a_crash(
    client: WebClient, job_writer: JobWriter, data: bytes, mix: str
) -> None:
    files = {"drums.flac": encode(STEMS["drums"], format="flac"), "bass.flac": data}
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), files)
    wait_until(lambda: client.head(f"/apiv1/jobs/{record.id}/mix.mp3").status_code == 200)
    response = get(client, record, mix)
    assert (response.status_code, kind(response)) == (409, "unreadable-stem")


def test_a_bomb_ends_at_the_size_that_the_manifest_allows(
    client: WebClient, job_writer: JobWriter
) -> None:
    bomb = encode(make_samples(1, 44_100 * 120), format="flac")  # "1 second" by its manifest
    record = job_writer.finish(new_job(f"{uuid.uuid4().hex}.mp3"), {"drums.flac": bomb})
    wait_until(lambda: client.head(f"/apiv1/jobs/{record.id}/mix.flac").status_code == 200)
    with pytest.raises(Problem, match="not the stem"):
        get(client, record, "mix.flac").get_data()


@contextmanager
def opened(url: str) -> Iterator[Iterator[bytes]]:
    """Request a mix; yield its bytes, of which the first have arrived."""
    response = urllib3.request("GET", url, preload_content=False, retries=False)
    with closing(response):
        assert response.status == 200, response.data
        blocks = response.stream(1000)
        yield chain([next(blocks)], blocks)


def wait_for_mix(server: FunctionProcess, job: JobRecord) -> None:
    """Wait until the server has room for another mix, and makes it."""
    url = url_of(server.url, job)
    wait_until(
        lambda: urllib3.request("GET", url, retries=False).status == 200, 300, "a mix is made"
    )


def children(server: FunctionProcess) -> list[psutil.Process]:
    """Return the server's encoders, also one that has just ended and is not reaped yet."""
    running = psutil.Process(server.process.pid).children(recursive=True)
    return [process for process in running if is_encoder(process)]


def is_encoder(process: psutil.Process) -> bool:
    try:
        return "encoder_process" in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def read_on(blocks: Iterator[bytes]) -> int:
    """Read to the end; return how many bytes came."""
    return sum(map(len, blocks))


def test_beyond_the_limit_a_mix_is_refused_with_a_time(
    server: FunctionProcess, long: JobRecord
) -> None:
    with opened(url_of(server.url, long, "mix.mp3")):
        second = urllib3.request("GET", url_of(server.url, long), retries=False)
        assert second.status == 503
        assert second.json()["type"] == "urn:micro-demucs:problem:too-many-mixes"
        assert int(second.headers["Retry-After"]) > 0
    wait_for_mix(server, long)


@pytest.mark.parametrize("is_all_read", [True, False])
def test_a_client_that_leaves_ends_the_process(
    server: FunctionProcess, long: JobRecord, is_all_read: bool
) -> None:
    with ExitStack() as cleanup:
        with opened(url_of(server.url, long, "mix.mp3")) as blocks:
            [child] = wait_until(lambda: children(server))
            cleanup.callback(kill, child)
            child.suspend()  # it neither ends by itself nor writes anything more
            wait_until(lambda: child.status() == psutil.STATUS_STOPPED)
            rest = os.stat(f"/proc/{child.pid}/fd/1").st_size if is_all_read else 0
            while rest > 0:
                rest -= len(next(blocks))
        wait_until(lambda: not children(server), 60, "the process has ended")
    wait_for_mix(server, long)


def test_a_client_that_leaves_while_a_file_is_made_ends_the_process(
    server: FunctionProcess, long: JobRecord
) -> None:
    address = urlsplit(url_of(server.url, long, "stem.mp4"))
    with ExitStack() as cleanup:
        with closing(HTTPConnection(address.netloc, timeout=60)) as client:
            client.request("GET", address.path)
            [child] = wait_until(lambda: children(server))
            cleanup.callback(kill, child)
            child.suspend()  # it does not end by itself
        wait_until(lambda: not children(server), 60, "the process has ended")
    wait_for_mix(server, long)


def test_a_slow_reader_keeps_nobody_from_mixing(server: FunctionProcess, long: JobRecord) -> None:
    with opened(url_of(server.url, long)) as slow:
        wait_for_mix(server, long)
        assert read_on(slow) > 1_000_000


def test_a_killed_process_breaks_the_download_off(server: FunctionProcess, long: JobRecord) -> None:
    with opened(url_of(server.url, long, "mix.mp3")) as response:
        [child] = wait_until(lambda: children(server))
        child.send_signal(signal.SIGSEGV)
        with pytest.raises(HTTPError):
            read_on(response)


def test_a_store_that_fails_midway_breaks_the_download_off(
    stack: Stack, long: JobRecord, tmp_path: Path
) -> None:
    with serve_with_relay(stack, tmp_path / "output") as (address, cut):
        url = url_of(address, long, "mix.mp3")
        wait_until(lambda: urllib3.request("HEAD", url).status == 200)
        with opened(url) as blocks:
            cut()
            with pytest.raises(HTTPError):
                read_on(blocks)


def test_memory_does_not_grow_with_the_song(server: FunctionProcess, long: JobRecord) -> None:
    peaks: list[int] = []
    with opened(url_of(server.url, long, "mix.mp3")) as response:
        [child] = wait_until(lambda: children(server))
        reader = threading.Thread(target=read_on, args=(response,))
        reader.start()
        while reader.is_alive():
            try:
                peaks.append(child.memory_info().rss)
            except psutil.Error:
                break
            reader.join(0.05)
        reader.join()
    assert max(peaks) < 100_000_000
    assert max(peaks) - peaks[len(peaks) // 4] < 10_000_000


def test_the_child_has_no_secrets(server: FunctionProcess, long: JobRecord) -> None:
    with opened(url_of(server.url, long, "mix.mp3")):
        [child] = wait_until(lambda: children(server))
        assert child.environ().keys() <= {"LANG", "PYTHONPATH", "LC_CTYPE"}
