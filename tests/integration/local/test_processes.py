"""The stack's manager, with the real components that are about to start."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.environment import PORTS, SECRETS, Environment
from local.processes import commands
from microdemucs.paths import ROOT
from testing.stack_processes import processes, secrets_by_session
from testing.waiting import wait_until

OWN_SECRETS: dict[str, set[str]] = {
    "nats": {name for name in SECRETS if name.startswith("NATS_")},
    "minio": {"MINIO_ROOT_PASSWORD"},
    "bridge": {"NATS_BRIDGE_PASSWORD", "EVENTS_SECRET"},
    "intake": {"NATS_INTAKE_PASSWORD"},
    "sweep": {"NATS_SWEEP_PASSWORD", "STORE_EVENTS_SECRET"},
    "separate": {"NATS_SEPARATE_PASSWORD", "STORE_SEPARATE_SECRET", "EVENTS_SECRET"},
    "upload": {"NATS_UPLOAD_PASSWORD", "STORE_UPLOAD_SECRET"},
    "notify": {
        *("NATS_NOTIFY_PASSWORD", "STORE_NOTIFY_SECRET"),
        *("CALLBACK_SECRET", "EVENTS_SECRET"),
    },
}


@dataclass(frozen=True)
class Manager:
    """The running manager, its stack's environment, and what it prints."""

    process: "subprocess.Popen[bytes]"
    environment: Environment
    output: Path

    def started(self) -> dict[str, int]:
        """Return the process id of each component that has been started."""
        lines = re.findall(r"system +\| (\w+) started \(pid=(\d+)\)", self.output.read_text())
        return {component: int(pid) for component, pid in lines}


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A manager that has started every component, in a shell that knows all secrets."""
    environment = Environment.create(tmp_path / "state", ports=dict.fromkeys(PORTS, 0))
    environment.save()
    for name in SECRETS:
        monkeypatch.setenv(name, environment.variables[name])
    monkeypatch.setenv("MICRO_DEMUCS_STATE", str(environment.folder))
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.processes", str(environment.folder)],
            cwd=ROOT,
            env=environment.for_manager(),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Manager(process, environment, output)
    try:
        wait_until(lambda: running.started().keys() == commands().keys(), 30, "all are started")
        yield running
    finally:
        process.terminate()
        process.wait(30)


def test_each_component_gets_its_own_secrets_only(manager: Manager) -> None:
    found = secrets_by_session(manager.environment)
    started = manager.started()
    readable = {component: found[pid] for component, pid in started.items() if pid in found}
    assert readable == {component: OWN_SECRETS[component] for component in readable}
    assert readable.keys() == OWN_SECRETS.keys() or os.getuid() != 0


def test_no_other_process_gets_a_secret(manager: Manager) -> None:
    found = secrets_by_session(manager.environment)
    components = manager.started().values()
    assert found[manager.process.pid] == set()
    assert [session for session in found if session not in components] == [manager.process.pid]


def test_all_components_end_with_the_manager(manager: Manager) -> None:
    manager.process.terminate()
    assert manager.process.wait(30) == 143
    assert processes(manager.environment.folder) == []
