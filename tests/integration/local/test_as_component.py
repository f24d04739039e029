import os
import subprocess
import sys
from pathlib import Path

from local.environment import PORTS, Environment
from microdemucs.paths import ROOT

PRINT_USER = "import os; print(os.environ['NATS_USER'], os.environ['NATS_PASSWORD'])"


def run(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Print the user of a program that runs as the component `upload`."""
    command = [sys.executable, "-m", "local.as_component", "upload"]
    return subprocess.run(
        [*command, sys.executable, "-c", PRINT_USER],
        cwd=ROOT,
        env=os.environ | {"MICRO_DEMUCS_STATE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_gets_the_user_of_the_component(tmp_path: Path) -> None:
    environment = Environment.create(tmp_path, ports=dict.fromkeys(PORTS, 0))
    environment.save()
    password = environment.variables["NATS_UPLOAD_PASSWORD"]
    assert run(tmp_path).stdout == f"upload {password}\n"


def test_without_a_started_stack_the_error_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "no stack has been started here; start one with `make run`\n"
