"""Events as the bridge posts them to the function, and webhook records as upload writes them."""

import json
from typing import Any

from cloudevents.http import CloudEvent
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.events import COMPLETED, FAILED, STARTED, ObjectCreated, record_of
from minio_events.forward import signed_request
from testing.events_secret import EVENTS_SECRET

SECRET = "whsec_" + "c2VjcmV0LW9mLWEtd2ViaG9vay0yNC1ieXRlcw=="
CALLBACK_SECRET = "whsec_" + "c2VjcmV0LW9mLWFsbC1jYWxsYmFja3Mtb2YtdGhpcw=="


def post_event(client: FlaskClient, event: CloudEvent) -> TestResponse:
    """POST `event` as the bridge does."""
    headers, body = signed_request(event, EVENTS_SECRET)
    return client.post("/", headers=headers, data=body)


def object_created(key: str, bucket: str = "stems", action: str = "Put") -> CloudEvent:
    """The event of a new object."""
    return CloudEvent(
        {"type": f"com.amazonaws.s3.ObjectCreated:{action}", "source": "minio:s3..stems"},
        record_of(ObjectCreated(bucket, key, 1, "etag"), "r1"),
    )


def job_started(message: dict[str, Any]) -> CloudEvent:
    """The event of a started job."""
    return CloudEvent({"type": STARTED, "source": "separate"}, message)


def delivery_due(message: dict[str, Any], attempt: int = 1) -> CloudEvent:
    """The event of a delivery that is due."""
    return CloudEvent(
        {
            "id": message["delivery"],
            "type": "dev.microdemucs.delivery",
            "source": "notify",
            "attempt": str(attempt),
        },
        message,
    )


def put_webhook(registry: Bus, id_: str, url: str, *events: str, **members: Any) -> dict[str, Any]:
    """Register a webhook for `events`, all by default; return its record."""
    record = {
        "id": id_,
        "url": url,
        "events": list(events) or [STARTED, COMPLETED, FAILED],
        "description": "",
        "active": True,
        "secret": SECRET,
        "created": "2026-01-01T00:00:00.000Z",
        "updated": "2026-01-01T00:00:00.000Z",
        **members,
    }
    registry.put(WEBHOOKS, id_, json.dumps(record).encode())
    return record


def delivery_message(target: str = "w1", **members: Any) -> dict[str, Any]:
    """A delivery that was made long ago, so that any number of attempts is plausible."""
    return {
        "delivery": "msg_1",
        "target": target,
        "body": '{"ü": 1}',
        "job": "j",
        "trace": "t",
        "created": "2026-01-01T00:00:00.000Z",
        **members,
    }
