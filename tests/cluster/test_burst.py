"""Many songs at once: one song per pod, on as many pods as allowed."""

import threading
import time

from testing.cluster.kubectl import pods, read
from testing.cluster.service import Service, in_parallel
from testing.songs import mp3
from testing.waiting import wait_until


def test_two_pods_share_ten_songs_without_idling(idle_service: Service) -> None:
    concurrency = read("configmap", "settings")["data"]["SEPARATE_CONCURRENCY"]
    assert concurrency == "2"
    songs = [
        mp3(10.0 + number / 10) for number in range(10)
    ]  # of different lengths, so none is reused
    keys = [f"burst/{number}.mp3" for number in range(10)]
    names: set[str] = set()
    highest, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            names.update(pods("separate"))
            highest[0] = max(highest[0], len(pods("separate", running=False)))
            time.sleep(0.5)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        in_parallel(
            *(
                lambda k=k, s=s: idle_service.put_song(s, k)
                for k, s in zip(keys, songs, strict=True)
            )
        )
        manifests = [idle_service.wait_for_manifest(key, 240) for key in keys]
    finally:
        stop.set()
        watching.join()
    assert len(names) == 2, names
    assert highest[0] == 2
    assert len({manifest["job"] for manifest in manifests}) == 10
    spans = sorted((m["started"], m["finished"]) for m in manifests)
    running = [sum(a <= begin < b for a, b in spans) for begin, _ in spans]
    assert max(running) == 2, spans  # two at a time, one per pod
    # the next song begins as soon as one is done: none waits while a pod is idle
    for begin, _ in spans[2:]:
        assert any(end <= begin for _, end in spans)
    wait_until(lambda: len(idle_service.webhooks("completed")) == 10, 120, "ten webhooks")
    assert len({event["data"]["job"] for event in idle_service.webhooks("completed")}) == 10
