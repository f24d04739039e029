"""What the bridge would send to the function, and the records that it reads."""

import json

import flask
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent
from flask.testing import FlaskClient

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.events import COMPLETED, FAILED, STARTED

SECRET = "whsec_" + "c2VjcmV0LW9mLWEtd2ViaG9vay0yNC1ieXRlcw=="
CALLBACK_SECRET = "whsec_" + "c2VjcmV0LW9mLWFsbC1jYWxsYmFja3Mtb2YtdGhpcw=="


def send(client: FlaskClient, event: CloudEvent) -> flask.Response:
    """POST `event` in binary mode, as the bridge does."""
    headers, body = to_binary(event)
    return client.post("/", headers=headers, data=body)


def due(message: dict, attempt: int = 1) -> CloudEvent:
    """What the bridge makes of a delivery that is due."""
    return CloudEvent(
        {
            "id": message["delivery"],
            "type": "dev.microdemucs.delivery",
            "source": "notify",
            "attempt": str(attempt),
        },
        message,
    )


def register(registry: Bus, id_: str, url: str, *events: str, **more) -> dict:
    record = {
        "id": id_,
        "url": url,
        "events": list(events) or [STARTED, COMPLETED, FAILED],
        "description": "",
        "active": True,
        "secret": SECRET,
        **more,
    }
    registry.put(WEBHOOKS, id_, json.dumps(record).encode())
    return record


def delivery(target: str = "w1") -> dict:
    return {
        "delivery": "msg_1",
        "target": target,
        "body": '{"ü": 1}',
        "job": "j",
        "trace": "t",
        "created": "2026-01-01T00:00:00.000Z",
    }
