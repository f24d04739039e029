"""`make run` from its first to its last process, and what it leaves behind: nothing."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from local.environment import PORTS
from local.ports import free_port
from microdemucs.paths import ROOT
from testing.songs import mp3
from testing.waiting import wait_until


@pytest.fixture
def run(tmp_path):
    """Start local.run with a state and ports of its own; nothing of it is left afterwards."""
    (tmp_path / "a song.mp3").write_bytes(mp3(2.0))
    environment = os.environ | dict.fromkeys(PORTS, "0")
    environment |= {"MICRO_DEMUCS_STATE": str(tmp_path / "state"), "OMP_NUM_THREADS": "1"}
    started = []

    # where the tests run in the background, Ctrl-C is ignored, and what they start would do so, too
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(*arguments, **settings):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "local.run", *arguments, "--out", str(tmp_path / "out")],
                cwd=ROOT,
                env=environment | settings,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.wait()
    for pid in processes(tmp_path / "state"):
        os.kill(pid, signal.SIGKILL)


def processes(state):
    """The ids of all processes that were started with this state folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"MICRO_DEMUCS_STATE={state}\0".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended meanwhile
    return [pid for pid in found if pid != os.getpid()]


def test_once_gives_stems_and_a_webhook_and_leaves_no_process(run, tmp_path):
    process = run(str(tmp_path / "a song.mp3"), "--once")
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    for phase in ("starting", "separating", "fetching the stems"):
        assert re.search(rf"^{phase} .*100%", said, re.MULTILINE), phase
    assert '"type": "dev.microdemucs.separation.completed"' in said
    assert "make models MODEL=htdemucs" in said
    for stem in ("drums", "bass", "other", "vocals"):
        path = tmp_path / "out" / "a song" / f"{stem}.mp3"
        assert str(path) in said
        assert soundfile.info(path).duration == pytest.approx(2.0, abs=0.1)
    assert processes(tmp_path / "state") == []


def test_ctrl_c_ends_what_it_started_and_nothing_else(run, tmp_path):
    nats = Path(sys.executable).parent / "nats-server"
    bystander = subprocess.Popen([nats, "-p", str(free_port())], stderr=subprocess.DEVNULL)
    try:
        process = run(str(tmp_path / "a song.mp3"))
        said = ""
        while "Ctrl-C stops it" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert len(processes(tmp_path / "state")) > 7
        process.send_signal(signal.SIGINT)
        process.wait(60)
        wait_until(lambda: processes(tmp_path / "state") == [], 20, "no process is left")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_song_that_cannot_be_separated_is_a_failure_that_says_why(run, tmp_path):
    (tmp_path / "letter.mp3").write_text("dear listener")
    process = run(str(tmp_path / "letter.mp3"), "--once")
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "failed: " in said.splitlines()[-1], said
    assert "Traceback" not in said
    assert processes(tmp_path / "state") == []


def test_a_song_that_is_not_there_is_one_clear_line(run):
    process = run("no/such.mp3", "--once")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.strip() == "no/such.mp3 is no file: make run SONG=path/to/song.mp3"
