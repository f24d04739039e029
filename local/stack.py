"""Run the stack on this machine: start and provision its components, and wait for them.

python -m local.stack stops it (`make stop`).
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.environment import FOLDER, Environment
from microdemucs.paths import ROOT

_READY_S = 120
_STOP_S = 20
_POLL_S = 0.1
_STARTING = "while the stack was starting"
_NOTICE_S = 3.0  # until honcho has logged that a component ended
_UMASK = 0o077  # MinIO and NATS would let other users read what they store
_ERROR = re.compile(r"(?i)\b(fatal|\w*error|must be|refuse|failed)")
_ENDED = re.compile(r"system +\| (\w+) stopped \(rc=(-?\d+)\)")


class NotUp(SystemExit):
    """The stack did not start, or is already up. The text says where to look."""


def running(folder: Path) -> int | None:
    """Return the process id of the stack in `folder`, or None if it is not up."""
    try:
        pid = int((folder / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"local.processes" in command else None


@contextmanager
def stack(environment: Environment) -> Iterator[subprocess.Popen[bytes]]:
    """Start and provision the stack, yield honcho's process when it is ready, and stop it.

    Raises NotUp.
    """
    folder = environment.folder
    if pid := running(folder):
        raise NotUp(f"this clone's stack is already up (process {pid}); `make stop` ends it")
    environment.save()
    move_streams(folder / "bus")
    with open(folder / "stack.log", "wb", opener=_open_private) as log:
        honcho = subprocess.Popen(
            [sys.executable, "-m", "local.processes", str(folder)],
            cwd=ROOT,
            env=environment.for_manager(),
            stdout=log,
            stderr=subprocess.STDOUT,
            umask=_UMASK,
            start_new_session=True,  # Ctrl-C reaches this process only, which stops honcho
        )
    with open(folder / "pid", "w", opener=_open_private) as file:
        file.write(str(honcho.pid))
    try:
        provision(environment, honcho)
        _wait_until_ready(environment, honcho)
        yield honcho
    finally:
        _stop(honcho)
        (folder / "pid").unlink(missing_ok=True)


def provision(environment: Environment, honcho: subprocess.Popen[bytes] | None = None) -> None:
    """Create buckets, users, rules and streams, once store and bus answer.

    Raises NotUp, at once if `honcho` has ended. If a component has ended, that is the reason, and
    what provision says about a store or bus that is gone is only its consequence.
    """
    end = time.monotonic() + _READY_S
    with subprocess.Popen(
        [sys.executable, "-m", "minio_events", "provision"],
        cwd=ROOT,
        env=environment.for_process("provision"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None:
            if honcho and honcho.poll() is not None:
                process.kill()
                raise NotUp(why_it_ended(environment.folder / "stack.log", _STARTING))
            if time.monotonic() > end:
                process.kill()
                raise NotUp(f"provisioning took too long: see {environment.folder / 'stack.log'}")
            time.sleep(_POLL_S)
        errors = process.stderr.read().strip().splitlines() if process.stderr else []
    if process.returncode:
        if honcho and _has_ended(environment.folder / "stack.log"):
            raise NotUp(why_it_ended(environment.folder / "stack.log", _STARTING))
        raise NotUp(f"provision failed: {errors[-1] if errors else 'it printed no reason'}")


def answers(url: str) -> bool:
    """Return whether a GET of `url` succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 (our own address)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def why_it_ended(log: Path, when: str) -> str:
    """Return one line: the first component that ended, its last line, and where the log is."""
    lines = log.read_text(errors="replace").splitlines()
    ended = next((found for line in lines if (found := _ENDED.search(line))), None)
    if not ended:
        return f"the stack ended {when}: see {log}"
    component = ended[1]
    output = re.compile(rf"\S+ +{component} +\| (.*)")
    printed = [found[1].strip() for line in lines if (found := output.match(line))]
    errors = [line for line in printed if _ERROR.search(line)]
    last = (errors or printed or ["it printed nothing"])[-1]
    return f"{component} ended {when}: {last}; see {log}"


def move_streams(bus: Path) -> None:
    """Move the streams of a version without accounts to the account CORE. For one release."""
    old, new = bus / "jetstream" / "$G", bus / "jetstream" / "CORE"
    if old.exists() and not new.exists():
        old.rename(new)


def _wait_until_ready(environment: Environment, honcho: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_S
    for port in ("UPLOAD_PORT", "NOTIFY_PORT", "SEPARATE_PORT"):
        while not answers(f"http://127.0.0.1:{environment.variables[port]}/readyz"):
            log = environment.folder / "stack.log"
            if honcho.poll() is not None:
                raise NotUp(why_it_ended(log, _STARTING))
            if time.monotonic() > end:
                raise NotUp(f"the stack is not ready after {_READY_S} s: see {log}")
            time.sleep(_POLL_S)


def _has_ended(log: Path) -> bool:
    """Return whether a component has ended, also if honcho is only about to log it."""
    end = time.monotonic() + _NOTICE_S
    while not _ENDED.search(log.read_text(errors="replace")):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _stop(honcho: subprocess.Popen[bytes]) -> None:
    """Stop every component; honcho passes the signal on."""
    if honcho.poll() is None:
        honcho.send_signal(signal.SIGTERM)
    try:
        honcho.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(honcho.pid, signal.SIGKILL)
        honcho.wait()


def _main() -> None:
    pid = running(FOLDER)
    if not pid:
        print("this clone's stack is not up")
        return
    os.kill(pid, signal.SIGTERM)
    while running(FOLDER):
        time.sleep(0.1)
    print("stopped")


if __name__ == "__main__":
    _main()
