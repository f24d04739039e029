"""Free ports on the loopback interface, reserved so that two stacks never choose the same one."""

import fcntl
import os
import secrets
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path

# Below the ports that Linux gives to connections and to servers that name none (32768 and up), and
# those of Kubernetes' nodes (30000 and up): nobody takes one before its server listens.
_PORTS = range(20_000, 30_000)
_reserved: set[int] = set()
_one_at_a_time = threading.Lock()


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
    with _one_at_a_time:
        if port in _reserved:
            return False
        try:
            fcntl.lockf(_lock_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        _reserved.add(port)
        return True


@cache
def _lock_file() -> int:
    """Return the descriptor of a file of which each reserved port is a locked byte.

    It stays open: the system frees the locks when the process ends, or closes the file.
    """
    path = Path(tempfile.gettempdir()) / f"micro-demucs-{os.getuid()}.ports"
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
