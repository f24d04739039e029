"""Make the store and the bus ready: `python -m minio_events provision`, as often as you like.

The bus first: a rule whose target has no stream would lose what it sends.
"""

import logging

import nats.errors

from microdemucs.settings import BusSettings
from minio_events.bus_setup import provision_bus
from minio_events.connection import connect
from minio_events.settings import ProvisionSettings
from minio_events.store_setup import provision_store

log = logging.getLogger(__name__)


async def provision(settings: ProvisionSettings) -> None:
    """Make or mend all that is missing, and log what was. Raises SystemExit with what to do."""
    bus = settings.bus
    as_seen_by_store = BusSettings(
        settings.store_nats_url, settings.store_nats_user, settings.store_nats_password
    )
    client = await connect(bus, "provision")
    try:
        changed = await provision_bus(client, settings.replicas)
    except nats.errors.Error as error:
        raise SystemExit(f"the bus at {bus.url} refused: {error}") from error
    finally:
        await client.close()
    changed += provision_store(settings, as_seen_by_store)
    log.info("provisioned", extra={"changed": changed})
