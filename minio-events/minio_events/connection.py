"""A connection to NATS for programs that run on an event loop."""

import logging

from nats.aio.client import Client

from microdemucs.bus import connection
from microdemucs.settings import BusSettings

log = logging.getLogger(__name__)


async def connect(settings: BusSettings, name: str) -> Client:
    """Connect, wait for as long as the bus is away, and reconnect from then on.

    Raises SystemExit if the bus refuses user and password: waiting would not help.
    """
    client = Client()
    is_connecting = True

    async def on_disconnect() -> None:
        if not client.is_closed:
            log.warning("bus disconnected")

    async def on_reconnect() -> None:
        log.warning("bus reconnected")

    async def on_error(error: Exception) -> None:
        """Log refusals only: failed attempts to reconnect arrive here, too, again and again."""
        text = str(error).lower()
        if is_connecting and "authorization violation" in text:
            raise SystemExit(f"the bus at {settings.url} refuses NATS_USER and NATS_PASSWORD")
        if "violation" in text:  # of authorization, or of a permission
            log.error("bus refused", extra={"reason": str(error)})

    await client.connect(
        **connection(settings, name),
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        error_cb=on_error,
    )
    is_connecting = False
    return client
