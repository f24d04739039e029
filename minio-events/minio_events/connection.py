"""A connection to NATS for the programs of this folder, which live on an event loop."""

import logging

from nats.aio.client import Client

from microdemucs.bus import connection
from microdemucs.settings import BusSettings

log = logging.getLogger(__name__)


async def connect(settings: BusSettings, name: str) -> Client:
    """Connect, waiting for as long as the bus is away, and stay connected from then on.

    Raises SystemExit where the bus knows us not: that does not pass by waiting.
    """

    client = Client()
    is_first = True

    async def lost() -> None:
        if not client.is_closed:
            log.warning("bus lost")

    async def back() -> None:
        log.warning("bus back")

    async def failed(error: Exception) -> None:
        """Every failed attempt arrives here; `lost` has said it once."""
        said = str(error).lower()
        if is_first and "authorization violation" in said:
            raise SystemExit(f"the bus at {settings.url} refuses NATS_USER and NATS_PASSWORD")
        if "violation" in said:  # of a permission, too
            log.error("refused by the bus", extra={"reason": str(error)})

    await client.connect(
        **connection(settings, name),
        disconnected_cb=lost,
        reconnected_cb=back,
        error_cb=failed,
    )
    is_first = False
    return client
