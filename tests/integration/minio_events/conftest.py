"""Real stacks: a fresh bus for each test, and one bus and store for the whole session."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from minio_events.bus_setup import provision_bus
from testing.stack import Stack, running_stack
from testing.waiting import wait_until


@pytest.fixture
def bus_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack with a fresh, provisioned NATS and nothing else."""
    with bare_bus_stack(tmp_path / "stack") as stack:
        stack.on_bus("provision", provision_bus)
        yield stack


@pytest.fixture
def unprovisioned_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack with a fresh NATS that has no streams yet."""
    with bare_bus_stack(tmp_path / "stack") as stack:
        yield stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with NATS and MinIO, provisioned by the command."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def bare_bus_stack(folder: Path) -> Stack:
    """Start NATS alone, in a folder of its own."""
    stack = Stack(folder)
    try:
        stack.start("nats")
        wait_until(lambda: _accepts_connections(stack), 20, "NATS accepts connections")
    except BaseException:
        stack.close()
        raise
    return stack


def _accepts_connections(stack: Stack) -> bool:
    with socket.socket() as probe:
        port = int(stack.environment.variables["NATS_PORT"])
        return probe.connect_ex(("127.0.0.1", port)) == 0
