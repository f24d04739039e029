"""What a job tells the bus, and that it does not need it: on a bus of the test's own."""

import asyncio
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nats
import pytest
from minio import Minio

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from local.ports import free_port
from microdemucs.bus import JOBS, Bus, Entry
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, job_id
from microdemucs.problems import RetryLater
from microdemucs.settings import BusSettings
from microdemucs.store import read_json
from minio_events.bus_setup import provision_bus
from testing.waiting import wait_until
from tests.integration.separate import sounds

NONE = Entry("", b"", 0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A bus without passwords, and its address."""
    port = free_port()
    binary = Path(sys.executable).parent / "nats-server"
    command = [str(binary), "-js", "-sd", str(tmp_path), "-a", "127.0.0.1", "-p", str(port)]
    url = f"nats://127.0.0.1:{port}"

    async def provision() -> None:
        async def quiet(_: Exception) -> None:
            """It is not up yet."""

        client = await nats.connect(
            url, reconnect_time_wait=0.05, max_reconnect_attempts=200, error_cb=quiet
        )
        await provision_bus(client)
        await client.close()

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(provision())
        yield process, url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def own(server, context: Context) -> Iterator[Context]:
    bus = Bus(BusSettings(server[1], "", ""), "own")
    yield replace(context, bus=bus)
    if server[0].poll() is None:
        bus.close()


def put(root: Minio, key: str, seconds: float, **metadata: str) -> Job:
    data = sounds.file(sounds.music(seconds, seed=77))
    answer = root.put_object("songs", key, io.BytesIO(data), len(data))
    song = ObjectCreated("songs", key, len(data), answer.etag, metadata=metadata)
    return Job(job_id(song), song, "7" * 32, "")


def started(url: str) -> list[dict]:
    """What the stream holds of started jobs."""

    async def read() -> list[dict]:
        client = await nats.connect(url)
        js = client.jetstream()
        held = (await js.stream_info("STEMS")).state
        found = [
            await js.get_msg("STEMS", seq)
            for seq in range(held.first_seq, held.last_seq + 1)
            if held.messages
        ]
        await client.close()
        return [json.loads(one.data) for one in found if one.subject == "separation.started"]

    return asyncio.run(read())


def test_a_bus_that_is_closed_while_it_connects_leaves_nothing_and_is_away(server):
    for moment in range(40):  # one after the other, all that connecting goes through
        bus = Bus(BusSettings(server[1], "", ""), "brief")
        time.sleep(moment / 4000)
        bus.close()
        assert not asyncio.all_tasks(bus._loop)
        assert bus._loop.is_closed()
        assert bus._client.is_closed
        assert not bus.is_up
        bus.send("logs.nobody.info", b"dropped")
        with pytest.raises(RetryLater):
            bus.get(JOBS, "any")
        with pytest.raises(RetryLater):
            bus.watch(JOBS, print, threading.Event())
        bus.close()


def test_state_and_progress_are_told_with_each_phase_and_as_it_goes_on(own: Context, root: Minio):
    seen: list[JobRecord] = []

    def see(entry: Entry) -> None:
        seen.append(JobRecord.read(entry.value))

    caught_up = threading.Event()
    own.bus.watch(JOBS, see, caught_up)
    assert caught_up.wait(10)
    job = put(root, "told.wav", 20, shifts="20")  # some seconds of work
    run_job(job, own)
    wait_until(lambda: seen and seen[-1].state == "done")
    phases = [record.phase for record in seen]
    assert {"decoding", "separating", "uploading"} <= set(phases)
    progress = [record.progress for record in seen]
    assert progress == sorted(progress)
    assert len({p for p, phase in zip(progress, phases, strict=True) if phase == "separating"}) > 1


def test_started_is_told_once_for_each_job(own: Context, root: Minio, server):
    job = put(root, "started.wav", 1)
    run_job(job, own)
    root.remove_object("stems", f"{job.song.key}/manifest.json")
    run_job(job, own)
    told = started(server[1])
    assert [one["job"] for one in told] == [job.id]
    assert told[0]["song"]["key"] == job.song.key
    assert (told[0]["model"], told[0]["trace"]) == ("htdemucs_tiny", "7" * 32)


def test_a_bus_that_goes_away_meanwhile_holds_up_nothing(own: Context, root: Minio, server):
    job = put(root, "alone.wav", 12, shifts="20")
    ended = []

    def separate() -> None:
        run_job(job, own)
        ended.append(True)

    thread = threading.Thread(target=separate)
    thread.start()
    wait_until(lambda: b'"separating"' in (own.bus.get(JOBS, job.id) or NONE).value)
    server[0].kill()
    thread.join(60)
    assert ended
    assert len(read_json(root, "stems", f"{job.song.key}/manifest.json")["stems"]) == 4


def test_without_a_bus_nothing_is_begun(own: Context, root: Minio, server):
    job = put(root, "no-bus.wav", 1)
    server[0].kill()
    with pytest.raises(RetryLater) as told:
        run_job(job, own)
    assert told.value.kind == "bus-away"
    assert read_json(root, "stems", f"{job.song.key}/manifest.json") is None
