"""Free ports on the loopback interface, reserved so that two stacks never choose the same one."""

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path

# Below the ports that Linux gives to connections and to servers that name none (32768 and up), and
# those of Kubernetes' nodes (30000 and up): nobody takes one before its server listens.
_PORTS = range(20_000, 30_000)
_reserved: list[int] = []
"""Descriptors of the locks that this process holds: the system frees them when it ends."""


def is_free(port: int) -> bool:
    """Return whether a server can listen on `port` of 127.0.0.1 now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port on which nobody listens, and which no other process has reserved."""
    while True:
        port = secrets.choice(_PORTS)
        if is_free(port) and reserve(port):
            return port


def reserve(port: int) -> bool:
    """Reserve `port` for as long as this process lives; False if another process has it.

    A server begins to listen some time after its port was chosen. Only programs that reserve their
    ports take part.
    """
    folder = Path(tempfile.gettempdir()) / f"micro-demucs-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    _reserved.append(lock)
    return True
