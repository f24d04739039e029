"""A process in the decoder's sandbox tries what an exploited decoder would, and is refused."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from functions.separate.audio import sandbox
from microdemucs.paths import ROOT
from tests.integration.separate.audio.decoding import opened
from tests.integration.separate.audio.test_decoder import children
from tests.integration.separate.sounds import file, music

# Each attempt is an expression. `parent` is a process id, `folder` can be written to, `own` is a
# file in it, and `call` makes a system call by its number.
NETWORK = {
    "IPv4": "socket.socket()",
    "IPv6": "socket.socket(socket.AF_INET6)",
    "UDP": "socket.socket(type=socket.SOCK_DGRAM)",
    "Unix socket": "socket.socket(socket.AF_UNIX)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "socket pair": "socket.socketpair()",
}
PROCESSES = {
    "fork": "os.fork()",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "thread": "start_thread()",
}
PROGRAMS = {"exec": "os.execv('/bin/true', ['true'])"}
FILES = {
    "read a file": "open('/etc/passwd')",
    "read the code": "open(sandbox.__file__)",
    "open the song again": "open('/dev/fd/0')",
    "open its own memory": "open('/proc/self/mem', 'r+b')",
    "write a new file": "open(folder + '/new', 'w')",
    "write to a file": "open(own, 'a')",
    "list a folder": "os.listdir('/')",
    "environment of the parent": "open(f'/proc/{parent}/environ', 'rb')",
    "memory of the parent": "open(f'/proc/{parent}/mem', 'rb')",
    "files of the parent": "os.listdir(f'/proc/{parent}/fd')",
    "pipe": "os.pipe()",
    "duplicate": "os.dup(1)",
    "file in memory": "os.memfd_create('x')",
}
CHANGES = {
    "remove": "os.unlink(own)",
    "rename": "os.rename(own, folder + '/other')",
    "link": "os.link(own, folder + '/other')",
    "symbolic link": "os.symlink(own, folder + '/other')",
    "make a folder": "os.mkdir(folder + '/new')",
    "shorten": "os.truncate(own, 0)",
}
PARENT = {"signal": "os.kill(parent, 0)"}
MORE_OF_THE_PARENT = {
    "signal to its group": "os.killpg(0, 0)",
    "limits": "resource.prlimit(parent, resource.RLIMIT_CPU)",
    "handle": "os.pidfd_open(parent)",
    "priority": "os.setpriority(os.PRIO_PROCESS, parent, 19)",
    "affinity": "os.sched_setaffinity(parent, {0})",
}
ITSELF = {
    "code in memory": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "shorten the song": "os.ftruncate(0, 0)",
    "mode of the song": "os.fchmod(0, 0o777)",
    "mode of a file": "os.chmod(own, 0o777)",
    "owner of a file": "os.chown(own, 1, 1)",
    "existence of a file": "os.stat('/etc/passwd')",
    "another user": "os.setuid(1)",
    "another folder": "os.chdir('/')",
    "another root": "os.chroot('/')",
    "terminal": "os.get_terminal_size(0)",
}
# x86-64 numbers, of calls that Python has no function for
CALLS = {
    "ptrace": "call(101, 16, parent)",
    "process_vm_readv": "call(310, parent)",
    "process_vm_writev": "call(311, parent)",
    "kcmp": "call(312, parent)",
    "pidfd_getfd": "call(438, 0, 1)",
    "tgkill": "call(234, parent, parent)",
    "rt_sigqueueinfo": "call(129, parent)",
    "clone": "call(56)",
    "vfork": "call(58)",
    "clone3": "call(435)",
    "execveat": "call(322)",
    "openat2": "call(437)",
    "open_by_handle_at": "call(304)",
    "name_to_handle_at": "call(303)",
    "io_uring_setup": "call(425, 8)",
    "bpf": "call(321)",
    "userfaultfd": "call(323)",
    "perf_event_open": "call(298)",
    "keyctl": "call(250)",
    "shmget": "call(29)",
    "msgget": "call(68)",
    "mq_open": "call(240)",
    "mount": "call(165)",
    "unshare": "call(272)",
    "setns": "call(308)",
    "ioctl": "call(16, 0, 0x5412)",
    "fcntl": "call(72, 1, 0)",
    "prctl": "call(157, 4, 1)",
    "seccomp": "call(317, 2)",
    "sendmsg": "call(46)",
    "arch_prctl": "call(158)",
    "pkey_mprotect": "call(329)",
    "mprotect to code": "call(10, 0, 4096, 5)",
    "sleep": "call(35)",
    "wait for a futex": "call(202)",
    "poll": "call(7)",
    "x32 read": "call(0x40000000)",
}
SCRIPT = """
import ctypes, json, mmap, os, resource, socket, sys, threading
from functions.separate.audio import sandbox
attempts, has_filter, folder = json.loads(sys.argv[1])
own, parent, libc = folder + "/own", os.getppid(), ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    padded = [ctypes.c_long(argument) for argument in (arguments + (0,) * 6)[:6]]
    if libc.syscall(ctypes.c_long(number), *padded) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def start_thread():
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError as error:
        raise PermissionError(str(error)) from error
if os.getuid() == 0:  # the limits do not bind root
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
if not has_filter:
    sandbox.has_filter = lambda: False
sandbox.enter()
results = {}
for name, attempt in attempts.items():
    try:
        results[name] = f"done: {eval(attempt)!r}"
    except OSError as error:
        results[name] = type(error).__name__ if error.errno in (1, None) else error.strerror
os.write(1, json.dumps(results).encode())
"""


@cache
def results(*, has_filter: bool) -> dict[str, str]:
    """Return what each attempt led to, in a sandbox with or without the filter."""
    groups = [NETWORK, PROCESSES, FILES, CHANGES, PARENT]
    groups += [MORE_OF_THE_PARENT, ITSELF, PROGRAMS, CALLS] if has_filter else []
    attempts = {name: attempt for group in groups for name, attempt in group.items()}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as song:
        os.chmod(folder, 0o777)
        (Path(folder) / "own").write_text("a text")
        os.chmod(Path(folder) / "own", 0o666)
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps([attempts, has_filter, folder])],
            stdin=song,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            check=True,
        )
        assert [path.name for path in Path(folder).iterdir()] == ["own"]
        assert (Path(folder) / "own").read_text() == "a text"
    found: dict[str, str] = json.loads(ended.stdout)
    return found


needs_filter = pytest.mark.skipif(not sandbox.has_filter(), reason="the kernel has no seccomp")


@needs_filter
@pytest.mark.parametrize(
    "attempt",
    [*NETWORK, *PROCESSES, *PROGRAMS, *FILES, *CHANGES, *PARENT, *MORE_OF_THE_PARENT, *ITSELF],
)
def test_the_filter_refuses(attempt: str) -> None:
    assert results(has_filter=True)[attempt] == "PermissionError"


@needs_filter
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("call", CALLS)
def test_the_filter_refuses_the_call(call: str) -> None:
    assert results(has_filter=True)[call] == "PermissionError"


@pytest.mark.parametrize("attempt", [*NETWORK, *PROCESSES, *FILES])
def test_without_the_filter_the_limits_refuse(attempt: str) -> None:
    assert not results(has_filter=False)[attempt].startswith("done")


@pytest.mark.skipif(sandbox.landlock_version() < 6, reason="this kernel has no Landlock 6")
@pytest.mark.parametrize("attempt", [*CHANGES, *PARENT])
def test_without_the_filter_landlock_refuses(attempt: str) -> None:
    assert not results(has_filter=False)[attempt].startswith("done")


@needs_filter
def test_the_child_that_decodes_is_in_the_sandbox() -> None:
    with opened(file(music(30))):
        folder = Path("/proc") / str(children()[0])
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        limits = (folder / "limits").read_text()
        is_root = os.getuid() == 0  # others may not look into a process that cannot be dumped
        errors = os.readlink(folder / "fd" / "2") if is_root else "/dev/null"
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert "Max open files            0                    0 " in limits
    assert "Max processes             0                    0 " in limits
    assert errors == "/dev/null"
