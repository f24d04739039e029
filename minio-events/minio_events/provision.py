"""Make the store and the bus ready: `python -m minio_events provision`, as often as you like.

The bus first: a rule whose target has no stream would lose what it sends.
"""

import dataclasses
import logging

import nats.errors

from microdemucs.settings import BadSetting, BusSettings, StoreSettings, text
from minio_events.bus_setup import provision_bus
from minio_events.connection import connect
from minio_events.store_setup import provision_store

log = logging.getLogger(__name__)


async def provision() -> None:
    """Make or mend all that is missing, and log what was. Raises SystemExit with what to do."""
    bus = BusSettings()
    as_seen_by_store = dataclasses.replace(
        bus,
        url=text("STORE_NATS_URL", bus.url),
        user=text("NATS_MINIO_USER", "minio"),
        password=text("NATS_MINIO_PASSWORD"),
    )
    if not as_seen_by_store.password:
        raise BadSetting("NATS_MINIO_PASSWORD is not set: it is the store's own at the bus")
    client = await connect(bus, "provision")
    try:
        changed = await provision_bus(client)
    except nats.errors.Error as error:
        raise SystemExit(f"the bus at {bus.url} refused: {error}") from error
    finally:
        await client.close()
    changed += provision_store(StoreSettings(), as_seen_by_store)
    log.info("provisioned", extra={"changed": changed})
