"""Run the stack on this machine: the Procfile's components under honcho.

python -m local.stack stops it (`make stop`).
"""

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

from local.environment import FOLDER, Environment
from microdemucs.paths import ROOT

_READY_S = 120
_STOP_S = 20


class NotUp(SystemExit):
    """The stack did not start, or is already up. The text says where to look."""


def running(folder: Path) -> int | None:
    """Return the process id of the stack in `folder`, or None if it is not up."""
    try:
        pid = int((folder / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"honcho" in command else None


@contextmanager
def stack(environment: Environment) -> Iterator[subprocess.Popen[bytes]]:
    """Start and provision the stack, yield honcho's process when it is ready, and stop it.

    Raises NotUp.
    """
    folder = environment.folder
    if pid := running(folder):
        raise NotUp(f"this clone's stack is already up (process {pid}); `make stop` ends it")
    with (folder / "stack.log").open("wb") as log:
        honcho = subprocess.Popen(
            [
                *(sys.executable, "-m", "honcho"),
                "-e",
                environment.save(),
                "-f",
                "Procfile",
                "start",
            ],
            cwd=ROOT,
            env=os.environ | environment.variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process only, which stops honcho
        )
    (folder / "pid").write_text(str(honcho.pid))
    try:
        provision(environment)
        _wait_until_ready(environment, honcho)
        yield honcho
    finally:
        _stop(honcho)
        (folder / "pid").unlink(missing_ok=True)


def provision(environment: Environment) -> None:
    """Create buckets, users, rules and streams, once store and bus answer. Raises NotUp."""
    done = subprocess.run(
        [sys.executable, "-m", "minio_events", "provision"],
        cwd=ROOT,
        env=os.environ | environment.for_component("provision"),
        capture_output=True,
        text=True,
        timeout=_READY_S,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:]
        raise NotUp(f"provisioning failed: {reason}; see {environment.folder / 'stack.log'}")


def answers(url: str) -> bool:
    """Return whether a GET of `url` succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 (our own address)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_until_ready(environment: Environment, honcho: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_S
    for port in ("UPLOAD_PORT", "NOTIFY_PORT", "SEPARATE_PORT"):
        while not answers(f"http://127.0.0.1:{environment.variables[port]}/readyz"):
            if honcho.poll() is not None or time.monotonic() > end:
                raise NotUp(f"the stack did not start: see {environment.folder / 'stack.log'}")
            time.sleep(0.1)


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
