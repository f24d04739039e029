"""The processes of a stack that `make run` started, and the secrets in their environments."""

import os
from collections.abc import Iterator
from pathlib import Path

from local.environment import SECRETS, Environment


def processes(folder: Path) -> list[int]:
    """Return the ids of all processes that were started with this state folder.

    The components hide their environment (microdemucs.hidden_memory): who is not root knows them
    as children of those that do not, so not after these have ended.
    """
    parents: dict[int, int] = {}
    hidden: list[int] = []
    pids: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        try:
            stat = (process / "stat").read_text()
            parents[pid] = int(stat.rpartition(")")[2].split()[1])
            if f"MICRO_DEMUCS_STATE={folder}\0".encode() in (process / "environ").read_bytes():
                pids.add(pid)
        except PermissionError:
            hidden.append(pid)
        except OSError:
            continue  # it has ended meanwhile
    pids |= {pid for pid in hidden if pids.intersection(_ancestors(pid, parents))}
    return sorted(pids - {os.getpid()})


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


def secrets_by_session(environment: Environment) -> dict[int, set[str]]:
    """Return the names of the secrets in the environments of a stack's processes, by session.

    Each component has a session of its own, whose id is that of the component's first process. Who
    is not root cannot read the environments that are hidden: they are left out.
    """
    found: dict[int, set[str]] = {}
    for pid in processes(environment.folder):
        try:
            text = (
                Path(f"/proc/{pid}/environ").read_bytes()
                + Path(f"/proc/{pid}/cmdline").read_bytes()
            )
            session = os.getsid(pid)
        except OSError:
            continue  # it has ended meanwhile, or is hidden
        found.setdefault(session, set()).update(
            name for name in SECRETS if environment.variables[name].encode() in text
        )
    return found
