"""When the pods of a function appear, as the cluster's API reports it, by this machine's clock."""

import json
import subprocess
import threading
import time
from collections import defaultdict
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from testing.cluster.kubectl import FUNCTION_LABEL, NAMESPACE, run_in_pod, try_kubectl

# Process 1 is the container's first; its start time is in ticks since the machine's start.
_PROCESS_START = """
import os, time
ticks = int(open("/proc/1/stat").read().rsplit(")", 1)[1].split()[19])
up = float(open("/proc/uptime").read().split()[0])
print(time.time() - up + ticks / os.sysconf("SC_CLK_TCK"))
"""

_WATCH_STARTS_S = 30.0


class Watch:
    """`times[pod][step]` is when a pod was created, scheduled, running, ready; s since 1970."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.times: dict[str, dict[str, float]] = defaultdict(dict)
        self._started = threading.Event()

    def __enter__(self) -> Self:
        # A bookmark ends the list of existing pods. From then on the watch misses nothing, and
        # kubectl needs the cores no more.
        query = {
            "watch": "true",
            "labelSelector": f"{FUNCTION_LABEL}={self.function}",
            "sendInitialEvents": "true",
            "allowWatchBookmarks": "true",
            "resourceVersionMatch": "NotOlderThan",
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?{urlencode(query)}"
        command = ["kubectl", "get", "--raw", path]
        self._watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        if not self._started.wait(_WATCH_STARTS_S):
            self._watching.terminate()
            raise TimeoutError("the API server does not confirm the watch of the pods")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watching.terminate()
        self._thread.join()

    def _read(self) -> None:
        for line in self._watching.stdout or ():
            event = json.loads(line)
            if event["type"] == "BOOKMARK":
                self._started.set()
            elif self._started.is_set():
                self._record(event["object"], time.time())

    def _record(self, pod: dict[str, Any], now: float) -> None:
        steps = self.times[pod["metadata"]["name"]]
        steps.setdefault("created", now)
        conditions = {
            c["type"] for c in pod["status"].get("conditions", ()) if c["status"] == "True"
        }
        for condition, step in (("PodScheduled", "scheduled"), ("Ready", "ready")):
            if condition in conditions:
                steps.setdefault(step, now)
        for container in pod["status"].get("containerStatuses", ()):
            if container["name"] == self.function and "running" in container["state"]:
                steps.setdefault("running", now)


def process_start(pod: str, function: str) -> float:
    """Return when the first process of the function's container was started."""
    return float(run_in_pod(pod, function, _PROCESS_START).stdout)


def log_lines(pod: str, function: str) -> list[dict[str, Any]]:
    """Return the lines of a pod's log; `at` is their time in s since 1970."""
    output = try_kubectl("logs", pod, "-c", function).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    for line in lines:
        line["at"] = datetime.fromisoformat(line["time"]).timestamp()
    return lines
