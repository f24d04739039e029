"""Network, mount and process namespaces of the campaign's own, and the faults that need them.

In them the loopback interface, the firewall, the disks and all processes are the campaign's alone,
and vanish with it. Each component has a group id of its own, by which its packets are known.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ENTERED = "MICRO_DEMUCS_FAULTS_ISOLATED"
_PROGRAMS = ("unshare", "ip", "iptables", "tc", "mount")
_NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_RATE, _LOSS = "512kbit", "0.05"
_DISK_BYTES = 8 * 2**30  # of memory, but only as far as it is used
FIRST_GROUP = 60_100


def enter(arguments: list[str]) -> str:
    """Run this program again in namespaces of its own, and end with its exit code.

    Return "" inside of them, or why they cannot be made. Raises SystemExit.
    """
    if os.environ.get(_ENTERED):
        return ""
    if os.geteuid():
        return "this needs root"
    if missing := [program for program in _PROGRAMS if not shutil.which(program)]:
        return f"not installed: {', '.join(missing)}"
    if subprocess.run([*_NAMESPACES, "true"], capture_output=True).returncode:
        return "the kernel gives no new namespaces"
    program = subprocess.Popen(
        [*_NAMESPACES, sys.executable, "-m", "testing.faults", *arguments],
        env=os.environ | {_ENTERED: "yes"},
        start_new_session=True,
    )
    try:
        raise SystemExit(program.wait())
    finally:
        program.kill()  # and with it every process in the namespaces


class Network:
    """The campaign's loopback interface. Raises CalledProcessError if the kernel lacks a module."""

    def __init__(self, folder: Path) -> None:
        self._environment = os.environ | {"XTABLES_LOCKFILE": str(folder / "xtables.lock")}
        self._run("ip", "link", "set", "lo", "up")
        self._run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb")
        self._run(
            *("tc", "class", "add", "dev", "lo", "parent", "1:", "classid", "1:2", "htb"),
            *("rate", _RATE),
        )
        for rule in (*self._cut_rules(FIRST_GROUP, 1), *self._slow_rules(FIRST_GROUP)):
            self._change("-A", rule)
            self._change("-D", rule)

    def cut(self, group: int, port: int, *, heal: bool = False) -> None:
        """Drop what processes of `group` send, and what arrives at `port` (0: none)."""
        for rule in self._cut_rules(group, port):
            self._change("-D" if heal else "-A", rule)

    def slow(self, group: int, *, heal: bool = False) -> None:
        """Limit the rate of what processes of `group` send, and drop some of it."""
        for rule in self._slow_rules(group):
            self._change("-D" if heal else "-A", rule)

    @staticmethod
    def unsent() -> list[str]:
        """Return which connections send bytes again, since nobody has acknowledged them.

        A request can arrive long after a cut has ended, also if its sender has given up.
        """
        _, *lines = Path("/proc/net/tcp").read_text().splitlines()
        unsent = []
        for _, _, remote, _, _, _, retransmissions, *_ in map(str.split, lines):
            if int(retransmissions, 16):
                unsent.append(f"bytes are on the way to port {int(remote.partition(':')[2], 16)}")
        return unsent

    @staticmethod
    def _cut_rules(group: int, port: int) -> list[tuple[str, ...]]:
        sent = ("filter", "OUTPUT", "-m", "owner", "--gid-owner", str(group), "-j", "DROP")
        received = ("filter", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
        return [sent, received] if port else [sent]

    @staticmethod
    def _slow_rules(group: int) -> list[tuple[str, ...]]:
        owner = ("-m", "owner", "--gid-owner", str(group))
        lossy = ("-m", "statistic", "--mode", "random", "--probability", _LOSS, "-j", "DROP")
        return [
            ("mangle", "POSTROUTING", *owner, "-j", "CLASSIFY", "--set-class", "1:2"),
            ("filter", "OUTPUT", *owner, *lossy),
        ]

    def _change(self, action: str, rule: tuple[str, ...]) -> None:
        table, chain, *rest = rule
        self._run("iptables", "-w", "-t", table, action, chain, *rest)

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, env=self._environment)


class Disk:
    """A file system in memory, mounted at `folder`. Raises CalledProcessError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=0777", "tmpfs")

    def fill(self) -> None:
        """Leave no free block."""
        while True:
            status = os.statvfs(self._folder)
            used = (status.f_blocks - status.f_bfree) * status.f_frsize
            try:
                self._mount("-o", f"remount,size={max(used, status.f_frsize)}")
            except subprocess.CalledProcessError:
                continue  # somebody has written since
            return

    def empty(self) -> None:
        """Give the blocks back that `fill` took."""
        self._mount("-o", f"remount,size={_DISK_BYTES}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self._folder)], check=True, capture_output=True)
