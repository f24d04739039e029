import os
import socket
from pathlib import Path
from tempfile import gettempdir

from local.ports import free_port, is_free, reserve


def test_a_free_port_is_free() -> None:
    assert is_free(free_port())


def test_a_port_on_which_a_server_listens_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])


def test_no_free_port_is_one_that_the_system_gives_to_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        assert max(free_port() for _ in range(50)) < given.getsockname()[1]


def test_free_ports_differ() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_a_port_is_reserved_once() -> None:
    assert not reserve(free_port())


def test_many_reserved_ports_keep_one_file_open() -> None:
    """A process with more than 1024 open files cannot use select."""
    for _ in range(50):
        free_port()
    files = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
    assert len([file for file in files if file.startswith(f"{gettempdir()}/micro-demucs-")]) == 1
