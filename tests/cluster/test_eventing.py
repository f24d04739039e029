"""Results through a Broker: notify is one Trigger of several."""

import json

from testing.cluster_service import Service
from testing.kube import kubectl
from testing.songs import mp3
from testing.waiting import wait_until


def test_a_trigger_of_ones_own_gets_the_completed_event(whole: Service):
    key = whole.put(mp3(6.0))
    manifest = whole.done(key)

    def heard() -> list[dict[str, str]]:
        lines = kubectl("logs", "deployment/example").splitlines()
        return [e for e in map(json.loads, lines) if e["subject"] == f"{key}/manifest.json"]

    wait_until(heard, 60, "the example's Trigger hears of it")
    assert all(e["type"].startswith("com.amazonaws.s3.ObjectCreated") for e in heard())
    whole.told_of(manifest)
