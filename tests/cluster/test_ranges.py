"""Long songs in several requests, and one song over two pods."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testing import installation
from testing.cluster_service import Service
from testing.kube import attempt, kubectl, pods
from testing.songs import mp3
from testing.waiting import wait_until


@pytest.fixture(scope="module")
def short_requests(service: Service) -> Iterator[Service]:
    """A deployment in which a request may have little of a song, and two pods may share one."""
    installation.at_zero()
    installation.configure(RANGE_SECONDS="12", SONG_CONCURRENCY="2")
    try:
        yield service
    finally:
        installation.configure(RANGE_SECONDS="300", SONG_CONCURRENCY="1")


def said(pod: str, event: str) -> list[dict[str, Any]]:
    """The lines that a pod of separate has logged of an event; none where it is gone."""
    lines = attempt("logs", pod, "-c", "separate").stdout.splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def wav(service: Service, manifest: dict[str, Any], stem: str) -> bytes:
    [key] = [one["key"] for one in manifest["stems"] if one["name"] == stem]
    answer = service.store.get_object("stems", key)
    try:
        return answer.read()
    finally:
        answer.close()


def test_ranges_on_two_pods_give_the_single_run_bit_for_bit_though_one_pod_is_killed(
    whole: Service, short_requests: Service
):
    body = mp3(42.0, 0.0)
    key = whole.put(body, "divided.mp3", format="wav")
    at_work = wait_until(lambda: len(there := pods("separate")) == 2 and there, 90, "two pods")
    first = wait_until(
        lambda: next((pod for pod in at_work if said(pod, "range done")), None), 90, "a range"
    )
    [other] = set(at_work) - {first}
    kubectl("delete", "pod", other, "--grace-period=0", "--force")
    manifest = whole.done(key, 240)
    whole.told_of(manifest)
    done = {line["range"] for line in said(first, "range done")}
    assert len(done) >= 2, "the pod that lived did the others"
    assert not list(whole.store.list_objects("stems", ".ranges/", recursive=True))

    installation.at_zero()
    installation.configure(RANGE_SECONDS="0", SONG_CONCURRENCY="1")
    # with another option, since the same audio with the same ones is not separated again
    single = whole.put(body, "single.mp3", format="wav", stems="drums,vocals")
    alone = wait_until(lambda: whole.manifest(single), 240, "the single run")
    for stem in ("drums", "vocals"):
        assert wav(whole, alone, stem) == wav(whole, manifest, stem)
