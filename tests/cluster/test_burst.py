"""Many songs at once, as many pods as there may be, one song each at a time."""

import threading
import time

from testing.cluster_service import Service, at_once
from testing.kube import pods, read
from testing.songs import mp3
from testing.waiting import wait_until


def test_ten_songs_at_once_are_shared_by_two_pods_and_none_waits_beside_an_idle_one(
    whole: Service,
):
    concurrency = read("configmap", "settings")["data"]["SEPARATE_CONCURRENCY"]
    assert concurrency == "2"
    songs = [mp3(10.0 + number / 10) for number in range(10)]  # unlike, so none is reused
    keys = [f"burst/{number}.mp3" for number in range(10)]
    seen: set[str] = set()
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            names = pods("separate")
            seen.update(names)
            most[0] = max(most[0], len(pods("separate", running=False)))
            time.sleep(0.5)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        at_once(*(lambda k=k, s=s: whole.put(s, k) for k, s in zip(keys, songs, strict=True)))
        manifests = [whole.done(key, 240) for key in keys]
    finally:
        stop.set()
        watching.join()
    assert len(seen) == 2, seen
    assert most[0] == 2
    assert len({manifest["job"] for manifest in manifests}) == 10
    spans = sorted((m["started"], m["finished"]) for m in manifests)
    at_work = [sum(a <= begin < b for a, b in spans) for begin, _ in spans]
    assert max(at_work) == 2, spans  # two at a time, one in each
    # as soon as one is done the next begins: nobody waits while a pod has nothing to do
    for begin, _ in spans[2:]:
        assert any(end <= begin for _, end in spans)
    wait_until(lambda: len(whole.told("completed")) == 10, 120, "ten webhooks")
    assert len({event["data"]["job"] for event in whole.told("completed")}) == 10
