"""Make the store and the bus ready: `python -m minio_events provision`, as often as you like.

The bus first: a rule whose target has no stream would lose what it sends.
"""

import dataclasses
import logging

from microdemucs.settings import BusSettings, StoreSettings, text
from minio_events.bus_setup import provision_bus
from minio_events.connection import connect
from minio_events.store_setup import provision_store

log = logging.getLogger(__name__)


async def provision() -> None:
    """Make or mend all that is missing, and log what was. Raises SystemExit with what to do."""
    bus = BusSettings()
    client = await connect(bus, "provision")
    changed = await provision_bus(client)
    await client.close()
    as_seen_by_store = dataclasses.replace(
        bus,
        url=text("STORE_NATS_URL", bus.url),
        user=text("NATS_MINIO_USER", "minio"),
        password=text("NATS_MINIO_PASSWORD"),
    )
    changed += provision_store(StoreSettings(), as_seen_by_store)
    log.info("provisioned", extra={"changed": changed})
