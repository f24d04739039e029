"""The service on a real Knative: from zero pods, warm, in a burst, and beside the same without it.

    python -m benchmarks.knative [cold] [warm] [burst] [beside] [shared] [long] [--rounds 5]

On the cluster that KUBECONFIG names, with the images in it (knative/README.md), and a network of
htdemucs' own size with random weights. Medians are printed, with the least and the most.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import shared
from benchmarks.pods import Watch, process_began, said
from testing.cluster import installation
from testing.cluster.kubectl import pods
from testing.cluster.service import Service, in_parallel
from testing.songs import mp3
from testing.stack import running_stack

_FUNCTION = "separate"
_SONG_S = 30
_unlike = itertools.count(1)


def main() -> None:
    """Install, measure, print, take away."""
    what: dict[str, Callable[[Service, int], None]] = {
        "cold": cold,
        "warm": warm,
        "burst": burst,
        "beside": beside,
        "shared": shared.measure,
        "long": shared.long,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", choices=[*what, []], help="all without it")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with installation.installed(installation.full_model()):
        service = Service()
        for name in asked.what or what:
            what[name](service, asked.rounds)


def cold(service: Service, rounds: int) -> None:
    """From the drop of a song at zero pods to its first finished block, part by part."""
    steps: dict[str, list[float]] = {}
    for _ in range(rounds):
        installation.wait_until_zero()
        body = _fresh(_SONG_S)
        with Watch(_FUNCTION) as watch:
            begin = time.time()
            key = service.put_song(body)
            put = time.time()
            manifest = service.wait_for_manifest(key)
            pod, lines = _pod_of(manifest["job"], watch.seen)
            seen = watch.seen[pod]
            at = {line["event"]: line["at"] for line in lines if line["event"] != "job started"}
            begun = next(line["at"] for line in lines if line["event"] == "job started")
            first_block = begun + manifest["timings"]["first_block"]
            moments = [
                ("PUT", begin, put),
                ("a pod is made", put, seen["made"]),
                ("it is scheduled", seen["made"], seen["scheduled"]),
                ("its process is started", seen["scheduled"], process_began(pod, _FUNCTION)),
                ("the song is begun", process_began(pod, _FUNCTION), begun),
                ("the model is there", begun, at["model loaded"]),
                ("the first block is finished", at["model loaded"], first_block),
                ("all of it", begin, first_block),
            ]
        for name, start, stop in moments:
            steps.setdefault(name, []).append(stop - start)
    print(f"\nfrom a drop at zero pods to the first block, {rounds} times a song of {_SONG_S} s")
    for name, took in steps.items():
        _row(name, took)


def warm(service: Service, rounds: int) -> None:
    """From a finished PUT to the song's begin, with a pod that waits."""
    service.wait_for_manifest(service.put_song(_fresh(3)))
    took = []
    for _ in range(4 * rounds):
        key = service.put_song(_fresh(3))
        put = time.time()
        manifest = service.wait_for_manifest(key)
        _, lines = _pod_of(manifest["job"], pods(_FUNCTION))
        mine = [line for line in lines if line.get("job") == manifest["job"]]
        took.append(next(line["at"] for line in mine if line["event"] == "job started") - put)
    print(f"\nfrom a finished PUT to the song's begin, warm, {len(took)} songs")
    _row("PUT to call", took)


def burst(service: Service, rounds: int) -> None:
    """Ten songs at once, from zero pods."""
    took = []
    for _ in range(max(1, rounds // 2)):
        installation.wait_until_zero()
        songs = [_fresh(_SONG_S) for _ in range(10)]
        begin = time.time()
        keys = _put_at_once(service, songs)
        for key in keys:
            service.wait_for_manifest(key, 600)
        took.append(time.time() - begin)
    print(f"\nten songs of {_SONG_S} s at once, two pods, from zero")
    _row("all ten are done", took)
    print(f"  {10 * _SONG_S / statistics.median(took):.1f} s of audio a second")


def beside(service: Service, rounds: int) -> None:
    """A song in a warm pod, and in the same function as a process of this machine."""
    inside, outside = [], []
    variables = {"MODEL": str(installation.full_model()), "OMP_NUM_THREADS": "2"}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), "bridge", _FUNCTION, **variables) as stack,
    ):

        def there(body: bytes) -> float:
            key, begin = f"{next(_unlike)}.mp3", time.time()
            stack.put_song(key, body)
            stack.wait_for_manifest(key)
            return time.time() - begin

        def here(body: bytes) -> float:
            begin = time.time()
            service.wait_for_manifest(service.put_song(body))
            return time.time() - begin

        there(_fresh(3))
        for _ in range(rounds):
            here(_fresh(3))  # so that a pod is there
            inside.append(here(_fresh(_SONG_S)))
            outside.append(there(_fresh(_SONG_S)))
    print(f"\na song of {_SONG_S} s from PUT to manifest, both warm, in turn")
    _row("in a pod", inside)
    _row("outside", outside)
    print(f"  ratio {statistics.median(inside) / statistics.median(outside):.2f}")


def _pod_of(job: str, among: Iterable[str]) -> tuple[str, list[dict[str, Any]]]:
    """The pod that did a job, and what it said."""
    for pod in among:
        lines = said(pod, _FUNCTION)
        if any(line.get("job") == job for line in lines):
            return pod, lines
    raise RuntimeError(f"no pod says that it did {job}")


def _fresh(seconds: float) -> bytes:
    """A song that has not been separated yet."""
    return mp3(seconds + next(_unlike) / 1000)


def _put_at_once(service: Service, songs: Iterable[bytes]) -> list[str]:
    keys = {f"burst/{next(_unlike)}.mp3": body for body in songs}
    in_parallel(
        *(lambda key=key, body=body: service.put_song(body, key) for key, body in keys.items())
    )
    return list(keys)


def _row(name: str, took: list[float]) -> None:
    least, most = min(took), max(took)
    print(f"  {name:30} {statistics.median(took):7.3f} s   {least:.3f} to {most:.3f}", flush=True)


if __name__ == "__main__":
    main()
