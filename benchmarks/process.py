"""One command, from its start to its end: time, CPU time, memory, and who else was at work."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from benchmarks.quiet import Moment, Others

_LOOK_S = 0.1


class Failed(RuntimeError):
    """The command ended with another status than 0; the text is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Run:
    """`seconds` and `cpu` in s, `cpu` with all its children's; `rss` in bytes, its children with it

    at the same moment. `began` is the monotonic clock's; `said` its standard output.
    """

    began: float
    seconds: float
    cpu: float
    rss: int
    others: Others
    said: str


def run(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run it. Raises Failed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        before = Moment.now()
        began = time.monotonic()
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
        )
        memory = _Memory(child.pid)
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            memory.end()
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu = used.ru_utime + used.ru_stime
        others = Others.between(before, Moment.now(), cpu)
        if child.returncode:
            errors.seek(0)
            end = " | ".join(errors.read().split("\n")[-4:])
            raise Failed(f"{' '.join(command)} ended with {child.returncode}: {end}")
        out.seek(0)
        # its own peak is exact, while short ones of several processes together can be missed
        rss = max(memory.peak, used.ru_maxrss * 1024)
        return Run(began, seconds, cpu, rss, others, out.read())


class _Memory:
    """Look at a process and its children, now and then."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            with suppress(psutil.Error):
                tree = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(one.memory_info().rss for one in tree))
