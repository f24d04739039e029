"""Create or update everything that the components need in the bus and in the store.

`python -m minio_events provision` can be run again at any time. The bus comes first: a notification
rule whose target has no stream would lose what it sends.
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
    """Create or update what is missing, and log the changes. Raises SystemExit with what to do."""
    store_on_the_bus = BusSettings(
        settings.store_nats_url, settings.store_nats_user, settings.store_nats_password
    )
    client = await connect(settings.bus, "provision")
    try:
        changes = await provision_bus(client, settings.replicas, settings.retention.jobs_days)
    except nats.errors.Error as error:
        raise SystemExit(f"the bus at {settings.bus.url} refused: {error}") from error
    finally:
        await client.close()
    changes += provision_store(settings, store_on_the_bus)
    log.info("provisioned", extra={"changed": changes})
