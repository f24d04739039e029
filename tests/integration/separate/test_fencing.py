"""A process that stood still for longer than its lease writes nothing more: a real process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.separate.context import Context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from microdemucs.bus import LEASES, Bus
from microdemucs.events import record_of
from microdemucs.jobs import song_digest
from microdemucs.paths import ROOT
from testing.waiting import wait_until
from tests.integration.separate import run_one_job, sounds
from tests.integration.separate.jobs import (
    PutSong,
    ReadFinished,
    ReadManifest,
    ReadObjects,
    ReadRecord,
    at_phase,
)

HANDED_BACK = 3


class StoppedProcess:
    """A process that has stopped in the middle of a job."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def resume(self) -> tuple[int, str]:
        """Let the process go on; return its status and what it printed."""
        os.kill(self._process.pid, signal.SIGCONT)
        output, _ = self._process.communicate(timeout=60)
        return self._process.returncode, output.strip().splitlines()[-1]


StartStopped = Callable[[Job, str], StoppedProcess]


@pytest.fixture
def start_stopped(settings: dict[str, str], bus: Bus, tmp_path: Path) -> Iterator[StartStopped]:
    """Start a process that runs a job and stops in a phase; return when its lease has expired."""
    processes: list[subprocess.Popen[str]] = []

    def start(job: Job, phase: str) -> StoppedProcess:
        record = json.dumps(record_of(job.song, "request"))
        command = [sys.executable, "-m", run_one_job.__name__, record, phase]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | settings | {"MODELS_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        pid, status = os.waitpid(process.pid, os.WUNTRACED)
        assert (pid, os.WIFSTOPPED(status)) == (process.pid, True), f"it ended with {status}"
        wait_until(lambda: bus.get(LEASES, song_digest(job.song.key)) is None, 30, "lease expires")
        return StoppedProcess(process)

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def long_song() -> bytes:
    """A song that takes some seconds, with which no other test reuses anything."""
    return sounds.file(sounds.music(20, seed=time.time_ns() % 1_000_000))


def test_it_writes_nothing_while_its_successor_works(
    put: PutSong,
    long_song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    finished: ReadFinished,
    start_stopped: StartStopped,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = put(long_song, callback="a" * 32)
    stopped = start_stopped(job, "separating")
    ended: list[tuple[int, str]] = []
    at_phase(monkeypatch, "uploading", lambda progress: ended.append(stopped.resume()))
    run_job(job, context)
    assert ended == [(HANDED_BACK, "song-busy")]
    assert set(objects(job)) == {"manifest.json", "peaks.bin", *record(job).stems}
    assert (record(job).state, len(finished(job))) == ("done", 1)


@pytest.mark.parametrize("phase", ["separating", "uploading"])
def test_it_writes_nothing_after_its_successor_is_done(
    put: PutSong,
    long_song: bytes,
    context: Context,
    objects: ReadObjects,
    record: ReadRecord,
    finished: ReadFinished,
    start_stopped: StartStopped,
    phase: str,
) -> None:
    job = put(long_song, callback="a" * 32)
    stopped = start_stopped(job, phase)
    run_job(job, context)
    stored, recorded = objects(job), record(job)
    assert stopped.resume() == (HANDED_BACK, "song-busy")
    assert (objects(job), record(job)) == (stored, recorded)
    assert (recorded.state, len(finished(job))) == ("done", 1)


def test_it_does_not_replace_the_stems_of_a_later_request(
    put: PutSong,
    long_song: bytes,
    context: Context,
    objects: ReadObjects,
    manifest: ReadManifest,
    record: ReadRecord,
    finished: ReadFinished,
    start_stopped: StartStopped,
) -> None:
    job = put(long_song, callback="a" * 32)
    stopped = start_stopped(job, "uploading")
    later = put(long_song, callback="b" * 32, clip_mode="clamp")
    assert later.song.etag == job.song.etag
    run_job(later, context)
    stored = objects(later)
    assert stopped.resume() == (HANDED_BACK, "song-busy")
    assert (objects(later), finished(job)) == (stored, [])
    run_job(job, context)  # the bridge retries the event that was handed back
    assert (objects(later), manifest(later).job) == (stored, later.id)
    assert (record(job).state, record(later).state) == ("superseded", "done")
    assert [':superseded"' in message.document for message in finished(job)] == [True]
