"""A bus alone, fresh for each test, and a machine with bus and store for all."""

import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from local.environment import PORTS, local
from microdemucs.settings import BusSettings
from minio_events.bus_setup import provision_bus
from minio_events.connection import connect
from testing.machine import Machine, machine, wait_until


@pytest.fixture
def bus(tmp_path) -> Iterator[Machine]:
    """A machine with nothing but NATS, which holds all streams; the store's settings are there."""
    one = Machine(local(tmp_path / "machine", ports=dict.fromkeys(PORTS, 0)))
    try:
        one.start("nats")
        wait_until(lambda: listens(one), 20, "NATS listens")
        one.on_bus("provision", provision_bus)
        yield one
    finally:
        one.end()


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Iterator[Machine]:
    """A machine with NATS and MinIO, provisioned by the command."""
    with machine(tmp_path_factory.mktemp("machine"), "nats", "minio") as one:
        yield one


def listens(one: Machine) -> bool:
    """Whether NATS takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(one.here.variables["NATS_PORT"]))) == 0


@asynccontextmanager
async def connected(one: Machine, user: str):
    """A connection as the programs make it."""
    variables = one.here.variables
    password = variables[f"NATS_{user.upper()}_PASSWORD"]
    client = await connect(BusSettings(variables["NATS_URL"], user, password), "test")
    try:
        yield client
    finally:
        await client.close()
