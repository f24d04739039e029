"""`make run`, from its first to its last process."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile

from functions.separate.engine.locate import BUNDLED
from local.environment import PORTS, SECRETS, Environment
from local.ports import free_port
from microdemucs.paths import ROOT
from testing.hub_server import hub_server
from testing.release import release
from testing.songs import mp3
from testing.stack_processes import processes, secrets_by_session
from testing.waiting import wait_until
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start local.run with a folder and ports of its own; nothing of it runs afterwards."""
    (tmp_path / "a song.mp3").write_bytes(mp3(2.0))
    environment = os.environ | dict.fromkeys(PORTS, "0")
    environment |= {"OMP_NUM_THREADS": "1", "MODEL": BUNDLED}
    started: list[subprocess.Popen[str]] = []

    # If the tests run in the background, Ctrl-C is ignored, and child processes inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(*arguments: str, state: str = "state", **settings: str) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "local.run", *arguments, "--out", str(tmp_path / "out")],
                cwd=ROOT,
                env=environment | {"MICRO_DEMUCS_STATE": str(tmp_path / state)} | settings,
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
    for state in ("state", "other"):
        for pid in processes(tmp_path / state):
            os.kill(pid, signal.SIGKILL)


def test_once_prints_progress_stems_and_webhook_and_leaves_no_process(
    run: Run, tmp_path: Path
) -> None:
    process = run(str(tmp_path / "a song.mp3"), "--once")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    for phase in ("starting", "sending the song", "separating", "fetching the stems"):
        assert re.search(rf"^{phase} .*100%", output, re.MULTILINE), phase
    assert '"type": "dev.microdemucs.separation.completed"' in output
    assert "make models MODEL=htdemucs" in output
    for stem in ("drums", "bass", "other", "vocals"):
        path = tmp_path / "out" / "a song" / f"{stem}.mp3"
        assert str(path) in output
        assert soundfile.info(path).duration == pytest.approx(2.0, abs=0.1)
    assert processes(tmp_path / "state") == []


def test_the_model_that_was_fetched_from_the_hub_separates(run: Run, tmp_path: Path) -> None:
    settings = {"MODEL": "", "MODELS_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path)}
    with hub_server() as hub:
        hub.add("adefossez/HTDemucs", release("htdemucs", [small_htdemucs()]))
        done = subprocess.run(
            [sys.executable, "-m", "local.setup", "run", "--model"],
            cwd=ROOT,
            env=os.environ | settings | {"HF_ENDPOINT": hub.url, "HF_HUB_ETAG_TIMEOUT": "60"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "fetching the model " in done.stdout, done.stderr
    process = run(str(tmp_path / "a song.mp3"), "--once", **settings)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert '"name": "htdemucs"' in output
    assert "limited quality" not in output


def test_ctrl_c_ends_what_was_started_and_nothing_else(run: Run, tmp_path: Path) -> None:
    nats = Path(sys.executable).parent / "nats-server"
    bystander = subprocess.Popen([nats, "-p", str(free_port())], stderr=subprocess.DEVNULL)
    try:
        process = start_and_wait(run, tmp_path / "a song.mp3")
        assert len(processes(tmp_path / "state")) > 7
        process.send_signal(signal.SIGINT)
        process.wait(60)
        wait_until(lambda: processes(tmp_path / "state") == [], 20, "no process is left")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def start_and_wait(run: Run, song: Path, **settings: str) -> "subprocess.Popen[str]":
    """Start the stack; return when it is up, and has separated the song."""
    process = run(str(song), **settings)
    assert process.stdout
    output = ""
    while "Ctrl-C stops it" not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    return process


def is_open_to_others(path: Path) -> bool:
    """Return whether other users have a right on the file; False if it was removed meanwhile."""
    try:
        return bool(path.lstat().st_mode & 0o077) and not path.is_symlink()
    except FileNotFoundError:
        return False


def test_other_users_and_other_components_read_nothing_of_a_running_stack(
    run: Run, tmp_path: Path, open_folder: Path
) -> None:
    state = open_folder / "state"
    start_and_wait(run, tmp_path / "a song.mp3", MICRO_DEMUCS_STATE=str(state))
    try:
        assert [path for path in (state, *state.rglob("*")) if is_open_to_others(path)] == []
        assert list(state.glob("store/songs/*")), "there is something to read"
        if os.getuid() == 0:
            for command in (["ls", str(state)], ["cat", str(state / "secrets")]):
                nobody = subprocess.run(command, user=65534, group=65534, capture_output=True)
                assert b"Permission denied" in nobody.stderr
        environment = Environment.load(state)
        found = secrets_by_session(environment)
        honcho = int((state / "pid").read_text())
        assert found.pop(honcho) == set()
        names = ["nats", "minio"]
        if os.getuid() == 0:  # from others of their user, the rest hide their environment
            names += ["bridge", "intake", "sweep", "separate", "upload", "notify"]
        allowed = [
            {name for name in SECRETS if environment.variables[name] in own.values()}
            for own in map(environment.for_component, names)
        ]
        with_secrets = filter(None, found.values())  # the decoder's child has none
        assert sorted(map(sorted, with_secrets)) == sorted(map(sorted, allowed))
    finally:
        for pid in processes(state):
            os.kill(pid, signal.SIGKILL)


def test_a_component_that_ends_later_is_named(run: Run, tmp_path: Path) -> None:
    process = start_and_wait(run, tmp_path / "a song.mp3")
    log = (tmp_path / "state" / "stack.log").read_text()
    [pid] = re.findall(r"system +\| intake started \(pid=(\d+)\)", log)
    os.kill(int(pid), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.strip().splitlines()[-1].startswith("intake ended unexpectedly: ")


def test_a_component_that_ends_before_provisioning_is_named(run: Run, tmp_path: Path) -> None:
    process = run(str(tmp_path / "a song.mp3"), "--once", SWEEP_GRACE_SECONDS="soon")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    last = output.strip().splitlines()[-1]
    assert last.startswith("sweep ended while the stack was starting: "), output
    assert "SWEEP_GRACE_SECONDS is 'soon'" in last


def test_a_file_that_is_not_audio_ends_with_the_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("dear listener")
    process = run(str(tmp_path / "text.mp3"), "--once")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "failed: " in output.splitlines()[-1], output
    assert "Traceback" not in output
    assert processes(tmp_path / "state") == []


def test_a_missing_file_is_one_clear_line(run: Run) -> None:
    process = run("no/such.mp3", "--once")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.strip() == "no/such.mp3 is not a file: make run SONG=path/to/song.mp3"


def test_a_store_that_cannot_start_is_one_clear_line_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "store").write_text("a file where the store needs a folder")
    process = run(str(tmp_path / "a song.mp3"), "--once")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    last = output.strip().splitlines()[-1]
    assert last.startswith("minio ended while the stack was starting: FATAL Unable to initialize")
    assert last.endswith(f"see {tmp_path / 'state' / 'stack.log'}")
    assert "Traceback" not in output
    assert processes(tmp_path / "state") == []


def test_a_setting_that_cannot_be_used_is_one_clear_line_at_once(run: Run, tmp_path: Path) -> None:
    process = run(str(tmp_path / "a song.mp3"), "--once", PRECISION="fp99")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    last = output.strip().splitlines()[-1]
    reason = "separate: PRECISION is 'fp99': must be one of auto, f32, bf16"
    assert last.startswith(f"separate ended while the stack was starting: {reason}; see ")
    assert processes(tmp_path / "state") == []


def unreserved_port() -> int:
    """Return a port that each of two stacks can reserve."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_two_stacks_that_start_at_the_same_time_both_come_up(run: Run, tmp_path: Path) -> None:
    song = str(tmp_path / "a song.mp3")
    ports = {"UPLOAD_PORT": str(unreserved_port()), "STORE_PORT": str(unreserved_port())}
    both = [run(song, "--once", state=state, **ports) for state in ("state", "other")]
    for process in both:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
