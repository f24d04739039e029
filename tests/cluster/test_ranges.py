"""A long song in several requests, on two pods."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testing.cluster import installation
from testing.cluster.kubectl import kubectl, pods, try_kubectl
from testing.cluster.service import Service
from testing.songs import mp3
from testing.waiting import wait_until


@pytest.fixture(scope="module")
def short_requests(service: Service) -> Iterator[Service]:
    """The service with short ranges and two pods per song."""
    installation.wait_until_zero()
    installation.configure(RANGE_SECONDS="12", SONG_CONCURRENCY="2")
    try:
        yield service
    finally:
        installation.configure(RANGE_SECONDS="300", SONG_CONCURRENCY="1")


def logged(pod: str, event: str) -> list[dict[str, Any]]:
    """Return the log lines of an event of a pod of separate; none if the pod is gone."""
    lines = try_kubectl("logs", pod, "-c", "separate").stdout.splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def read_audio(service: Service, manifest: dict[str, Any], stem: str) -> bytes:
    """Return the data chunk of a WAV stem; the tags before it differ with the song's name."""
    [key] = [entry["key"] for entry in manifest["stems"] if entry["name"] == stem]
    response = service.store.get_object("stems", key)
    try:
        wav = response.read()
    finally:
        response.close()
    return wav[wav.index(b"data") :]


def test_ranges_on_two_pods_equal_a_single_run_even_if_one_pod_is_killed(
    idle_service: Service, short_requests: Service
) -> None:
    body = mp3(42.0, 0.0)
    key = idle_service.put_song(body, "divided.mp3", format="wav")
    names = wait_until(lambda: len(found := pods("separate")) == 2 and found, 90, "two pods")
    first = wait_until(
        lambda: next((pod for pod in names if logged(pod, "range done")), None), 90, "a range"
    )
    [other] = set(names) - {first}
    kubectl("delete", "pod", other, "--grace-period=0", "--force")
    manifest = idle_service.wait_for_manifest(key, 240)
    idle_service.wait_for_webhook(manifest)
    done = {line["range"] for line in logged(first, "range done")}
    assert len(done) >= 2, "the remaining pod did the others"
    assert not list(idle_service.store.list_objects("stems", ".ranges/", recursive=True))

    installation.wait_until_zero()
    installation.configure(RANGE_SECONDS="0", SONG_CONCURRENCY="1")
    # other options, as the same audio with the same options is not separated again
    single = idle_service.put_song(body, "single.mp3", format="wav", stems="drums,vocals")
    alone = wait_until(lambda: idle_service.manifest(single), 240, "the single run")
    for stem in ("drums", "vocals"):
        assert read_audio(idle_service, alone, stem) == read_audio(idle_service, manifest, stem)
