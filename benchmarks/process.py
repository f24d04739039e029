"""Run a command and measure its time, CPU time and memory, and the load by other processes."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from benchmarks.load import CpuTimes, OtherLoad

_INTERVAL_S = 0.1


class Failed(RuntimeError):
    """The command failed; the text has the end of its standard error."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    `started`: of the monotonic clock. `seconds` and `cpu`: in s; `cpu` includes all children.
    `rss`: the peak in bytes of the process and its children together. `output`: standard output.
    """

    started: float
    seconds: float
    cpu: float
    rss: int
    others: OtherLoad
    output: str


def run(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run the command to its end. Raises Failed."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        before = CpuTimes.now()
        started = time.monotonic()
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        memory = _PeakMemory(child.pid)
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            memory.stop()
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu = used.ru_utime + used.ru_stime
        others = OtherLoad.between(before, CpuTimes.now(), cpu)
        if child.returncode:
            errors.seek(0)
            last_lines = " | ".join(errors.read().split("\n")[-4:])
            raise Failed(f"{' '.join(command)} failed with {child.returncode}: {last_lines}")
        output.seek(0)
        # the own peak of the process is exact; sampling can miss short peaks of all together
        rss = max(memory.peak, used.ru_maxrss * 1024)
        return Run(started, seconds, cpu, rss, others, output.read())


class _PeakMemory:
    """The peak memory of a process and its children, sampled ten times per second."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            with suppress(psutil.Error):
                tree = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(process.memory_info().rss for process in tree))
