"""Lock the decoder's child in, before it reads the first byte of a song.

From then on the child can read and write what is open, use memory, and end. It opens nothing, has
no network, starts nothing, and reaches no other process. Four layers, so that a kernel without one
of them still has the others:

- A seccomp filter (seccomp(2)) allows 26 system calls and refuses all others with EPERM.
- Landlock (landlock(7)) refuses files, TCP and signals to processes outside.
- Limits (setrlimit(2)): no further descriptor and no further process.
- The child is not dumpable (prctl(2)): no process of the same user reads its memory.

The filter is written here because libseccomp, which Python's bindings need, is not on every
machine, and loading it would take longer than the filter does.
"""

import ctypes
import errno
import os
import resource
import struct
from typing import NamedTuple

from microdemucs.hidden_memory import hide_memory

_PR_SET_NO_NEW_PRIVS = 38

_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL = 1, 2
_ALL_THREADS, _WITHOUT_SPECULATION_LIMITS = 1, 4  # the child holds no secret that could leak
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000

# Classic BPF (linux/bpf_common.h), and offsets in struct seccomp_data (linux/seccomp.h)
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 24, 32
_PROT_EXEC = 4
_FUTEX_COMMAND, _FUTEX_WAKE = 0x7F, 1

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_VERSION = 1  # a flag
# by the first version that knows them: how many kinds of access to files, ports, outsiders
_LANDLOCK_RIGHTS = ((6, 16, 2, 2), (5, 16, 2, 0), (4, 15, 2, 0), (3, 15, 0, 0), (2, 14, 0, 0))


class _Machine(NamedTuple):
    """The numbers of one kind of processor: linux/audit.h, and its column in `_CALLS`."""

    architecture: int
    seccomp: int
    column: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 317, 0),
    "aarch64": _Machine(0xC00000B7, 277, 1),
}
# What the child may still do, by x86-64's and arm64's numbers (asm/unistd.h)
_CALLS = {
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "write": (1, 64),
    "writev": (20, 66),
    "close": (3, 57),
    "brk": (12, 214),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "gettimeofday": (96, 169),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# Allowed unless the third argument asks for memory that can be executed
_CALLS_FOR_MEMORY = {"mmap": (9, 222), "mprotect": (10, 226)}
# Allowed to wake threads only: with it, a child could sleep for ever
_FUTEX = (202, 98)


def has_filter() -> bool:
    """Whether this kernel has seccomp filters, on a processor that is known here."""
    machine = _MACHINES.get(os.uname().machine)
    action = ctypes.c_uint32(_REFUSE & 0xFFFF0000)
    return machine is not None and not _call(
        machine.seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)
    )


def landlock_version() -> int:
    """Return the version of this kernel's Landlock; less than 1 if there is none."""
    return _call(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION)


def enter() -> None:
    """Lock this process in for good. Raises OSError if the kernel has a filter and refuses it."""
    hide_memory()
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _restrict_access()
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))
    if has_filter():
        _install_filter(_MACHINES[os.uname().machine])


def _install_filter(machine: _Machine) -> None:
    program = b"".join(filter_instructions(machine))
    memory = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    description = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    flags = _ALL_THREADS | _WITHOUT_SPECULATION_LIMITS
    if _call(machine.seccomp, _SECCOMP_SET_MODE_FILTER, flags, description):
        raise OSError(ctypes.get_errno(), "the seccomp filter was refused")


def filter_instructions(machine: _Machine) -> list[bytes]:
    """Return the instructions. A 32-bit call ends the child: its numbers mean other calls."""
    # By what follows the comparisons: where in it a call that is equal goes on
    verdict = [
        _instruction(_RETURN, _REFUSE),
        _instruction(_RETURN, _ALLOW),
        _instruction(_LOAD, _THIRD_ARGUMENT),
        _instruction(_JUMP_IF_ANY_BIT, _PROT_EXEC, 1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _REFUSE),
        _instruction(_LOAD, _SECOND_ARGUMENT),
        _instruction(_AND, _FUTEX_COMMAND),
        _instruction(_JUMP_IF_EQUAL, _FUTEX_WAKE, 1),
        _instruction(_RETURN, _REFUSE),
        _instruction(_RETURN, _ALLOW),
    ]
    targets = [
        *((call[machine.column], 1) for call in _CALLS.values()),
        *((call[machine.column], 2) for call in _CALLS_FOR_MEMORY.values()),
        (_FUTEX[machine.column], 6),
    ]
    comparisons = [
        _instruction(_JUMP_IF_EQUAL, number, len(targets) - index - 1 + target)
        for index, (number, target) in enumerate(targets)
    ]
    return [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, machine.architecture, 1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        *comparisons,
        *verdict,
    ]


def _instruction(code: int, value: int, skipped: int = 0) -> bytes:
    """Return a struct sock_filter; a jump skips so many instructions if its condition is true."""
    return struct.pack("@HBBI", code, skipped, 0, value)


def _restrict_access() -> None:
    """Have Landlock refuse every kind of access that it knows; do nothing if there is none."""
    version = landlock_version()
    if version < 1:
        return
    rights = next((row[1:] for row in _LANDLOCK_RIGHTS if version >= row[0]), (13, 0, 0))
    handled = struct.pack("@QQQ", *(2**count - 1 for count in rights))
    size = 8 * (1 + (version >= 4) + (version >= 6))  # older versions have fewer members
    ruleset = _call(_LANDLOCK_CREATE, handled, size, 0)
    if ruleset >= 0:
        _call(_LANDLOCK_RESTRICT, ruleset, 0)
        os.close(ruleset)


def _call(number: int, *arguments: object) -> int:
    """Make a system call; -1 and ctypes.get_errno() if it fails."""
    passed = [
        ctypes.c_ulong(argument) if isinstance(argument, int) else argument
        for argument in arguments
    ]
    result: int = _LIBC.syscall(ctypes.c_long(number), *passed)
    return result


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
