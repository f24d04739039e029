"""A process with secrets, and another one of the same user that wants to read them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from microdemucs.paths import ROOT

# Root may read everything, so root becomes somebody else, as whom it is dumpable at first.
SOMEBODY = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534), libc.prctl(4, 1, 0, 0, 0)
"""
OWNER = """
if sys.argv[1] == "hidden":
    hide_memory()
print("ready", flush=True)
sys.stdin.read()
"""
READER = """
for name in ("environ", "mem", "maps"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            print(name, b"s3cret" in file.read(0 if name == "mem" else -1))
    except OSError as error:
        print(name, type(error).__name__)
print("ptrace", libc.ptrace(16, int(sys.argv[1]), 0, 0))  # PTRACE_ATTACH
"""


def start(code: str, *arguments: str, **how: Any) -> "subprocess.Popen[str]":
    imported = "from microdemucs.hidden_memory import hide_memory\n"
    command = [sys.executable, "-c", imported + SOMEBODY + code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, **how)


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> Iterator[int]:
    """Yield the process id of one that has a secret in its environment."""
    with start(
        OWNER, request.param, stdin=subprocess.PIPE, env={**os.environ, "KEY": "s3cret"}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


def attempts(pid: int) -> str:
    with start(READER, str(pid)) as reader:
        return reader.communicate()[0]


@pytest.mark.parametrize("owner", ["hidden"], indirect=True)
def test_another_process_of_the_user_cannot_read_the_secrets(owner: int) -> None:
    assert attempts(owner) == (
        "environ PermissionError\nmem PermissionError\nmaps PermissionError\nptrace -1\n"
    )


@pytest.mark.parametrize("owner", ["open"], indirect=True)
def test_without_it_the_environment_can_be_read(owner: int) -> None:
    assert attempts(owner).startswith("environ True\n")


@pytest.mark.parametrize("program", ["microdemucs.service", "minio_events.__main__"])
def test_every_program_hides_its_memory_first(program: str) -> None:
    code = f"""
import contextlib, ctypes, io, sys
from {program} import main
sys.argv[1:] = ["--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
"""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "minio-events")])
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ended.stdout == "0\n"
