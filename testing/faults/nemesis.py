"""Do the faults of a round to the stack, each in a thread of its own."""

import signal
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from testing.faults.components import SECOND_SEPARATE, FaultStack
from testing.faults.plan import Fault, Kind, Song
from testing.faults.steps import StepWatcher
from testing.faults.timeline import Timeline

_STEP_WITHIN_S = 15.0


class Nemesis:
    """Does faults. Two faults of one component never overlap; those of different ones do.

    `send` sends a song in the background.
    """

    def __init__(
        self,
        stack: FaultStack,
        steps: StepWatcher,
        timeline: Timeline,
        send: Callable[[Song], None],
    ) -> None:
        self._send = send
        self._stack = stack
        self._steps = steps
        self._timeline = timeline
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End every fault now."""
        self._stopped.set()

    def do(self, fault: Fault) -> None:
        """Wait for the fault's time and step; then begin it, and end it after its seconds."""
        self._stopped.wait(fault.offset)
        with self._locks[fault.component]:
            if fault.song:
                self._send(fault.song)
            job = self._steps.wait(fault.step, _STEP_WITHIN_S) if fault.step else ""
            process = self._process_of(fault, job or "")
            about = {
                "component": fault.component,
                "process": process,
                "kind": fault.kind,
                "step": fault.step or "",
                "step_reached": job is not None,
            }
            self._begin(fault.kind, process)
            self._timeline.add("fault begun", **about, seconds=fault.seconds)
            try:
                self._stopped.wait(fault.seconds)
            finally:
                self._end(fault.kind, process)
                self._timeline.add("fault ended", **about)

    def _process_of(self, fault: Fault, job: str) -> str:
        """Return the process to attack: of several, the one that works on `job`."""
        if fault.component != "separate":
            return fault.component
        processes = ("separate", SECOND_SEPARATE)
        if job in self._stack.worker_of:
            return self._stack.worker_of[job]
        busy = self._stack.balancer.busy()
        number = busy[0] if fault.step and len(busy) == 1 else fault.process
        return processes[number]

    def _begin(self, kind: Kind, process: str) -> None:
        stack = self._stack
        match kind:
            case Kind.KILL:
                with suppress(KeyError, ProcessLookupError):  # it has ended by itself
                    stack.kill(process)
            case Kind.PAUSE:
                stack.send_signal(process, signal.SIGSTOP)
            case Kind.CUT if stack.network:
                stack.network.cut(stack.group(process), stack.port(process))
            case Kind.SLOW if stack.network:
                stack.network.slow(stack.group(process))
            case Kind.FULL:
                stack.disks[process.removesuffix("-2")].fill()

    def _end(self, kind: Kind, process: str) -> None:
        stack = self._stack
        match kind:
            case Kind.KILL:
                stack.start(process)
            case Kind.PAUSE:
                stack.send_signal(process, signal.SIGCONT)
            case Kind.CUT if stack.network:
                stack.network.cut(stack.group(process), stack.port(process), heal=True)
            case Kind.SLOW if stack.network:
                stack.network.slow(stack.group(process), heal=True)
            case Kind.FULL:
                stack.disks[process.removesuffix("-2")].empty()
                if process == "nats":
                    # It has reported a critical write error: this is what an operator does.
                    stack.kill(process)
                    stack.start(process)
