"""Connections to the bus of a stack, as the programs have them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client

from minio_events.connection import connect
from testing.stack import Stack


@asynccontextmanager
async def connected(stack: Stack, user: str) -> AsyncIterator[Client]:
    """Connect to the bus as `user`, as the programs do."""
    client = await connect(stack.bus_settings(user), "test")
    try:
        yield client
    finally:
        await client.close()
