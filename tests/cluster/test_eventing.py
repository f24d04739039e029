"""Results go through a Broker, at which notify is one Trigger of several."""

import json

from testing.cluster.kubectl import kubectl
from testing.cluster.service import Service
from testing.songs import mp3
from testing.waiting import wait_until


def test_another_trigger_gets_the_event_of_the_manifest(idle_service: Service) -> None:
    key = idle_service.put_song(mp3(6.0))
    manifest = idle_service.wait_for_manifest(key)

    def received() -> list[dict[str, str]]:
        lines = kubectl("logs", "deployment/example").splitlines()
        return [e for e in map(json.loads, lines) if e["subject"] == f"{key}/manifest.json"]

    wait_until(received, 60, "the example's Trigger gets the event")
    assert all(e["type"].startswith("com.amazonaws.s3.ObjectCreated") for e in received())
    idle_service.wait_for_webhook(manifest)
