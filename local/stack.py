"""The stack on this machine: the Procfile's processes under honcho, from start to stop."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.environment import STATE, Local
from microdemucs.paths import ROOT

_READY_S = 120
_STOP_S = 20


class NotUp(SystemExit):
    """The stack did not start or has ended; the text says where to look."""


def running(state: Path) -> int | None:
    """The process id of the stack in `state` that is up, if one is."""
    try:
        pid = int((state / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"honcho" in command else None


@contextmanager
def stack(local: Local) -> Iterator[subprocess.Popen[bytes]]:
    """The stack, provisioned and ready inside; afterwards all its processes are gone.

    Raises NotUp.
    """
    if pid := running(local.state):
        raise NotUp(f"this clone's stack is up already (process {pid}); `make stop` ends it")
    log = (local.state / "stack.log").open("wb")
    file = local.state / "env"
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in local.variables.items()))
    honcho = subprocess.Popen(
        [sys.executable, "-m", "honcho", "-e", str(file), "-f", "Procfile", "start"],
        cwd=ROOT,
        env=os.environ | local.variables,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for us; we stop it in good order
    )
    (local.state / "pid").write_text(str(honcho.pid))
    try:
        provision(local)
        wait_until_ready(local, honcho)
        yield honcho
    finally:
        stop(honcho)
        (local.state / "pid").unlink(missing_ok=True)


def provision(local: Local) -> None:
    """Make buckets, users, rules and streams once store and bus are there. Raises NotUp."""
    done = subprocess.run(
        [sys.executable, "-m", "minio_events", "provision"],
        cwd=ROOT,
        env=os.environ | local.of("provision"),
        capture_output=True,
        text=True,
        timeout=_READY_S,
        check=False,
    )
    if done.returncode:
        raise NotUp(f"provisioning failed: {done.stderr.strip().splitlines()[-1:]}; `make logs`")


def wait_until_ready(local: Local, honcho: subprocess.Popen[bytes]) -> None:
    """Wait for every function's /readyz. Raises NotUp."""
    end = time.monotonic() + _READY_S
    for port in ("UPLOAD_PORT", "NOTIFY_PORT", "SEPARATE_PORT"):
        while not _answers(f"http://127.0.0.1:{local.variables[port]}/readyz"):
            if honcho.poll() is not None or time.monotonic() > end:
                raise NotUp(f"the stack did not start: see {local.state / 'stack.log'}")
            time.sleep(0.1)


def stop(honcho: subprocess.Popen[bytes]) -> None:
    """End every process of the stack, and nothing else."""
    if honcho.poll() is None:
        honcho.send_signal(signal.SIGTERM)
    try:
        honcho.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(honcho.pid, signal.SIGKILL)
        honcho.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (our own address)
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop_from_elsewhere() -> None:
    pid = running(STATE)
    if not pid:
        print("no stack of this clone is up")
        return
    os.kill(pid, signal.SIGTERM)
    while running(STATE):
        time.sleep(0.1)
    print("stopped")


if __name__ == "__main__":
    _stop_from_elsewhere()
