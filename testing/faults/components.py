"""The stack under attack: the Procfile's components, a second separate process, and a receiver.

Each has a group id of its own, and those with data a disk of their own, if the campaign is
isolated. A load balancer stands before the two separate processes.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from local.ports import free_port
from local.stack import answers, provision
from testing.faults.balancer import Balancer
from testing.faults.isolation import FIRST_GROUP, Disk, Network
from testing.faults.plan import COMPONENTS, COMPONENTS_WITH_DISK
from testing.faults.recipes import RANGE_SECONDS
from testing.stack import Stack
from testing.waiting import wait_until

SECOND_SEPARATE = "separate-2"
PROCESSES = (*COMPONENTS, SECOND_SEPARATE)
_SWEEP_EVERY_S = 5
_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "GRACE_SECONDS": "10",
    "RANGE_SECONDS": str(RANGE_SECONDS),
    "SEPARATE_CONCURRENCY": "2",
    "SWEEP_GRACE_SECONDS": "5",
    # enough attempts for a receiver that is away for a round
    "WEBHOOK_RETRY_SECONDS": ",".join(["1"] * 5 + ["3"] * 100),
    # what a killed process began to upload is removed by the store, here sooner than after a day
    "MINIO_API_STALE_UPLOADS_EXPIRY": "60s",
    "MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL": "10s",
}


class FaultStack(Stack):
    """A stack whose processes can be attacked; `network` is None if the campaign is not isolated.

    A context manager: everything runs and is ready inside.
    """

    def __init__(self, folder: Path, network: Network | None) -> None:
        super().__init__(folder)
        self.network = network
        self.disks: dict[str, Disk] = {}
        self.received = folder / "received.jsonl"
        self.worker_of: dict[str, str] = {}  # job id → the process that started it last
        self._open = ExitStack()
        self._log = (folder / "stack.jsonl").open("w")
        variables = self.environment.variables
        separate_ports = [int(variables["SEPARATE_PORT"]), free_port()]
        self.receiver_port, balancer_port = free_port(), free_port()
        self.balancer = Balancer(balancer_port, separate_ports)
        variables.update(_SETTINGS | {"SEPARATE_URL": f"http://127.0.0.1:{balancer_port}"})
        self._settings: dict[str, dict[str, str]] = {name: {} for name in PROCESSES}
        self._settings[SECOND_SEPARATE]["SEPARATE_PORT"] = str(separate_ports[1])
        self._ports = {
            "minio": int(variables["STORE_PORT"]),
            "nats": int(variables["NATS_PORT"]),
            "separate": separate_ports[0],
            SECOND_SEPARATE: separate_ports[1],
            "upload": int(variables["UPLOAD_PORT"]),
            "notify": int(variables["NOTIFY_PORT"]),
            "receiver": self.receiver_port,
        }
        self._commands[SECOND_SEPARATE] = self._commands["separate"]
        self._commands["sweep"] = self._commands["sweep"].replace(
            "--every 120", f"--every {_SWEEP_EVERY_S}"
        )
        self._commands["receiver"] = (
            f"exec {sys.executable} -m testing.faults.receiver {self.receiver_port} {self.received}"
        )
        self._make_disks()

    def __enter__(self) -> Self:
        try:
            self._open.enter_context(self.balancer)
            self.start("nats", "minio", "receiver")
            provision(self.environment)
            self.start(*(name for name in PROCESSES if name not in self.processes))
            self.wait_until_ready("upload", "notify", "separate")
            second = f"http://127.0.0.1:{self._ports[SECOND_SEPARATE]}/readyz"
            wait_until(lambda: answers(second), 90, "the second separate process is ready")
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Kill all components, paused ones too."""
        super().close()
        self._open.close()

    def start(self, *components: str, **settings: str) -> None:
        """Start these processes with the settings that they have in this campaign."""
        for component in components:
            super().start(component, **(self._settings[component] | settings))

    def process_environment(self, component: str) -> dict[str, str]:
        """Return the environment of a process of the campaign."""
        if component == "receiver":
            return self.environment.for_manager()
        return super().process_environment(
            "separate" if component == SECOND_SEPARATE else component
        )

    def process_options(self, component: str) -> dict[str, Any]:
        """Return the group of `component` for Popen, by which its packets are known."""
        if not self.network:
            return {}
        return {"group": self.group(component), "extra_groups": []}

    def group(self, process: str) -> int:
        """Return the group id of a process."""
        return FIRST_GROUP + 1 + PROCESSES.index(process)

    def port(self, process: str) -> int:
        """Return the port at which a process listens, 0 if at none."""
        return self._ports.get(process, 0)

    def send_signal(self, process: str, number: signal.Signals) -> None:
        """Send a signal to every process of the group."""
        os.killpg(self.processes[process].pid, number)

    def ended(self) -> list[str]:
        """Return the processes that have ended, although nobody killed them."""
        return [
            name for name, process in list(self.processes.items()) if process.poll() is not None
        ]

    def memory(self, process: str) -> int:
        """Return the resident memory of a process and its children, in bytes."""
        total = 0
        with suppress(psutil.NoSuchProcess, KeyError):
            parent = psutil.Process(self.processes[process].pid)
            for one in (parent, *parent.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += one.memory_info().rss
        return total

    @property
    def store_folder(self) -> Path:
        """Where the store keeps its objects."""
        return Path(self.environment.variables["STORE_DATA"])

    def save_log(self) -> None:
        """Move the log lines so far from memory to a file."""
        while self.log:
            self._log.write(json.dumps(self.log.pop(0)) + "\n")
        self._log.flush()

    def _read_log(self, process: "subprocess.Popen[bytes]") -> None:
        name = next(name for name, one in self.processes.items() if one is process)
        for text in process.stdout or ():
            with suppress(ValueError):  # MinIO and NATS do not write JSON
                line = json.loads(text)
                self.log.append(line | {"process": name})
                if line.get("event") in ("job started", "range started"):
                    self.worker_of[line["job"]] = name

    def _make_disks(self) -> None:
        folder = self.environment.folder / "disks"
        for component in COMPONENTS_WITH_DISK:
            disk = folder / component
            disk.mkdir(parents=True, exist_ok=True)
            if self.network:
                self.disks[component] = Disk(disk)
            self._settings[component]["TMPDIR"] = str(disk)
        self._settings[SECOND_SEPARATE]["TMPDIR"] = str(folder / "separate")
        self.environment.variables.update(
            STORE_DATA=str(folder / "minio/data"),
            STORE_QUEUE_DIR=str(folder / "minio/queue"),
            NATS_STORE=str(folder / "nats/data"),
        )
