"""When the pods of a function come: what a watcher of the cluster sees, by this machine's clock."""

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

# 1 is the container's first process; its start counts in ticks from the machine's.
_BEGAN = """
import os, time
ticks = int(open("/proc/1/stat").read().rsplit(")", 1)[1].split()[19])
up = float(open("/proc/uptime").read().split()[0])
print(time.time() - up + ticks / os.sysconf("SC_CLK_TCK"))
"""

_SOON_S = 30.0


class Watch:
    """`seen[pod][step]` is when: made, scheduled, running, ready. Seconds since 1970."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.seen: dict[str, dict[str, float]] = defaultdict(dict)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        # A bookmark marks the end of what was there before: from then on nothing is missed, and
        # kubectl has done what it needs the cores for.
        asked = {
            "watch": "true",
            "labelSelector": f"{FUNCTION_LABEL}={self.function}",
            "sendInitialEvents": "true",
            "allowWatchBookmarks": "true",
            "resourceVersionMatch": "NotOlderThan",
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?{urlencode(asked)}"
        command = ["kubectl", "get", "--raw", path]
        self._watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        if not self._listening.wait(_SOON_S):
            self._watching.terminate()
            raise TimeoutError("the API server does not say that it watches the pods")
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
                self._listening.set()
            elif self._listening.is_set():
                self._note(event["object"], time.time())

    def _note(self, pod: dict[str, Any], now: float) -> None:
        steps = self.seen[pod["metadata"]["name"]]
        steps.setdefault("made", now)
        true = {c["type"] for c in pod["status"].get("conditions", ()) if c["status"] == "True"}
        for condition, step in (("PodScheduled", "scheduled"), ("Ready", "ready")):
            if condition in true:
                steps.setdefault(step, now)
        for one in pod["status"].get("containerStatuses", ()):
            if one["name"] == self.function and "running" in one["state"]:
                steps.setdefault("running", now)


def process_began(pod: str, function: str) -> float:
    """When the first process of the function's container was started."""
    return float(run_in_pod(pod, function, _BEGAN).stdout)


def said(pod: str, function: str) -> list[dict[str, Any]]:
    """The lines of its log, if it has one; `at` is their time as seconds since 1970."""
    told = try_kubectl("logs", pod, "-c", function).stdout
    lines = [json.loads(line) for line in told.splitlines()]
    for line in lines:
        line["at"] = datetime.fromisoformat(line["time"]).timestamp()
    return lines
