"""What the operator's page shows: dead letters, and webhooks with their attempts."""

import json
import uuid

import urllib3
from nats.aio.client import Client

from microdemucs.events import COMPLETED
from microdemucs.messages import Attempt, DeliveryState
from microdemucs.problems import now
from testing.stack import Stack


def bury(stack: Stack, reason: str, count: int = 1) -> None:
    """Store so many dead letters."""

    async def publish(client: Client) -> None:
        headers = {"Dead-Reason": reason, "Dead-Subject": "minio.songs"}
        for _ in range(count):
            await client.jetstream().publish("dead.songs.j1", b'{"odd": true}', headers=headers)

    stack.on_bus("bridge", publish)


def webhook(site: str, stack: Stack) -> str:
    """Register a webhook of which one attempt failed; return its URL."""
    url = f"https://example.com/{uuid.uuid4().hex}"
    body = json.dumps({"url": url}).encode()
    headers = {"Content-Type": "application/json"}
    response = urllib3.request("POST", f"{site}/apiv1/webhooks", body=body, headers=headers)
    attempt = Attempt(
        delivery="msg_1",
        type=COMPLETED,
        job="j1",
        attempt=3,
        time=now(),
        state=DeliveryState.WAITING,
        status=503,
        reason="the receiver answered 503",
        next=now(),
    )

    async def publish(client: Client) -> None:
        await client.jetstream().publish(f"attempts.{response.json()['id']}", attempt.write())

    stack.on_bus("notify", publish)
    return url
