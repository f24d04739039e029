"""The command line: what every program does with a missing or wrong setting."""

import subprocess
import sys

import pytest

from local.ports import free_port
from microdemucs.paths import ROOT
from tests.integration.minio_events.program import failure_line

SECRET = "a-secret-value"
COMPLETE = {
    "NATS_URL": f"nats://127.0.0.1:{free_port()}",
    "STORE_ACCESS_KEY": "root",
    "STORE_SECRET_KEY": SECRET,
    "NATS_PASSWORD": SECRET,
    "NATS_MINIO_PASSWORD": SECRET,
    "STORE_QUEUE_DIR": "/queue",
    "STORE_EVENTS_SECRET": SECRET,
    "STORE_SEPARATE_SECRET": SECRET,
    "STORE_UPLOAD_SECRET": SECRET,
    "STORE_NOTIFY_SECRET": SECRET,
    "EVENTS_SECRET": "s" * 16,
}
"""All settings that some program needs. Nothing listens at the bus's address."""


def run(words: list[str], settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "minio_events", *words],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'minio-events'}"} | settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("bridge", "K_SINK", "nowhere"),
        ("bridge", "SEPARATE_URL", "nowhere"),
        ("bridge", "MAX_DELIVER", "many"),
        ("bridge", "K_CE_OVERRIDES", "nonsense"),
        ("intake", "NATS_URL", "nowhere"),
        ("sweep", "SWEEP_GRACE_SECONDS", "-1"),
        ("sweep", "STORE_URL", "nowhere"),
        ("provision", "NATS_REPLICAS", "x"),
        ("provision", "STORE_URL", "nowhere"),
        ("dead-letters list", "NATS_URL", "nowhere"),
    ],
)
def test_a_wrong_setting_ends_the_program_with_one_line_that_names_it_and_its_value(
    program: str, name: str, value: str
) -> None:
    line = failure_line(run(program.split(), COMPLETE | {name: value}))
    assert line.startswith(f"{program.split()[0]}: {name} is {value!r}: must be ")
    assert SECRET not in line


@pytest.mark.parametrize(
    "name",
    [
        *("STORE_ACCESS_KEY", "STORE_SECRET_KEY", "NATS_MINIO_PASSWORD", "STORE_QUEUE_DIR"),
        *("STORE_EVENTS_SECRET", "STORE_SEPARATE_SECRET"),
        *("STORE_UPLOAD_SECRET", "STORE_NOTIFY_SECRET"),
    ],
)
def test_a_missing_setting_ends_provision_with_one_line_that_names_it(name: str) -> None:
    line = failure_line(run(["provision"], COMPLETE | {name: ""}))
    assert line.startswith("provision: ")
    assert name in line
    assert SECRET not in line


def test_the_help_lists_every_program() -> None:
    completed = run(["--help"], {})
    assert completed.returncode == 0
    for program in ("provision", "bridge", "intake", "sweep", "dead-letters"):
        assert program in completed.stdout


def test_an_unknown_program_is_refused() -> None:
    completed = run(["brigde"], {})
    assert completed.returncode == 2
    assert "invalid choice: 'brigde'" in completed.stderr


@pytest.mark.parametrize("seconds", ["5_0", "nan", "-5", "often"])
def test_an_interval_that_is_no_number_is_refused(seconds: str) -> None:
    completed = run(["sweep", f"--every={seconds}"], {})
    assert completed.returncode == 2
    assert f"{seconds!r} is no number of seconds" in completed.stderr
