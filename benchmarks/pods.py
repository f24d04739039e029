"""When the pods of a function come: what a watcher of the cluster sees, by this machine's clock."""

import json
import subprocess
import threading
import time
from collections import defaultdict
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from tests.cluster.kube import NAMESPACE, PART, attempt, in_pod

# 1 is the container's first process; its start counts in ticks from the machine's.
_BEGAN = """
import os, time
ticks = int(open("/proc/1/stat").read().rsplit(")", 1)[1].split()[19])
up = float(open("/proc/uptime").read().split()[0])
print(time.time() - up + ticks / os.sysconf("SC_CLK_TCK"))
"""


class Watch:
    """`seen[pod][step]` is when: made, scheduled, running, ready. Seconds since 1970."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.seen: dict[str, dict[str, float]] = defaultdict(dict)

    def __enter__(self) -> Self:
        command = ["kubectl", "-n", NAMESPACE, "get", "pods", "-l", f"{PART}={self.function}"]
        command += ["--watch-only", "-o", "json"]
        self._watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
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
        decoder, text = json.JSONDecoder(), ""
        for line in self._watching.stdout or ():
            text += line
            if line.rstrip() != "}":  # kubectl indents what is inside
                continue
            pod, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            self._note(pod, time.time())

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
    return float(in_pod(pod, function, _BEGAN).stdout)


def said(pod: str, function: str) -> list[dict[str, Any]]:
    """The lines of its log, if it has one; `at` is their time as seconds since 1970."""
    told = attempt("logs", pod, "-c", function).stdout
    lines = [json.loads(line) for line in told.splitlines()]
    for line in lines:
        line["at"] = datetime.fromisoformat(line["time"]).timestamp()
    return lines
