"""A bus alone, fresh for each test, and a machine with bus and store for all."""

import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from minio_events.bus_setup import provision_bus
from minio_events.connection import connect
from testing.stack import Stack, running_stack
from testing.waiting import wait_until


@pytest.fixture
def bus(tmp_path) -> Iterator[Stack]:
    """A machine with nothing but NATS, which holds all streams; the store's settings are there."""
    one = Stack(tmp_path / "machine")
    try:
        one.start("nats")
        wait_until(lambda: listens(one), 20, "NATS listens")
        one.on_bus("provision", provision_bus)
        yield one
    finally:
        one.close()


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Iterator[Stack]:
    """A machine with NATS and MinIO, provisioned by the command."""
    with running_stack(tmp_path_factory.mktemp("machine")) as one:
        yield one


def listens(one: Stack) -> bool:
    """Whether NATS takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(one.environment.variables["NATS_PORT"]))) == 0


@asynccontextmanager
async def connected(one: Stack, user: str):
    """A connection as the programs make it."""
    client = await connect(one.bus_settings(user), "test")
    try:
        yield client
    finally:
        await client.close()
