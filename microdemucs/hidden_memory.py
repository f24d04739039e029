"""Hide this process's memory and environment, with its secrets, from its user's other processes."""

import ctypes

_PR_SET_DUMPABLE = 4  # prctl(2)


def hide_memory() -> None:
    """Make this process and those that it forks not dumpable, where the system is Linux.

    Other processes of the same user then cannot read /proc/PID/environ and mem, attach a debugger,
    or get a core dump. Root still can. A program that this process executes is dumpable again.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
