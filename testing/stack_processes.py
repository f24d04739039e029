"""The processes of a stack that `make run` started, and the secrets in their environments."""

import os
from pathlib import Path

from local.environment import SECRETS, Environment


def processes(folder: Path) -> list[int]:
    """Return the ids of all processes that were started with this state folder."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MICRO_DEMUCS_STATE={folder}\0".encode() in (process / "environ").read_bytes():
                pids.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return [pid for pid in pids if pid != os.getpid()]


def secrets_by_session(environment: Environment) -> dict[int, set[str]]:
    """Return the names of the secrets in the environments of a stack's processes, by session.

    Each component has a session of its own, whose id is that of the component's first process.
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
            continue  # it has ended meanwhile
        found.setdefault(session, set()).update(
            name for name in SECRETS if environment.variables[name].encode() in text
        )
    return found
