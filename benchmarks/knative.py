"""Measure the service on Knative: from zero pods, warm, in a burst, and compared with no Knative.

    python -m benchmarks.knative [cold] [warm] [burst] [beside] [shared] [long] [--rounds 5]

It uses the cluster that KUBECONFIG names, which must have the images (knative/README.md), and a
network of htdemucs' size with random weights. It prints medians, with the minimum and maximum.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import shared_song
from benchmarks.pods import Watch, log_lines, process_start
from testing.cluster import installation
from testing.cluster.kubectl import pods
from testing.cluster.service import Service, in_parallel
from testing.songs import mp3
from testing.stack import running_stack

_FUNCTION = "separate"
_SONG_S = 30
_numbers = itertools.count(1)


def main() -> None:
    """Install, measure, print, and remove the installation."""
    measurements: dict[str, Callable[[Service, int], None]] = {
        "cold": cold,
        "warm": warm,
        "burst": burst,
        "beside": beside,
        "shared": shared_song.measure,
        "long": shared_song.long,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*measurements, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with installation.installed(installation.full_model()):
        service = Service()
        for name in arguments.names or measurements:
            measurements[name](service, arguments.rounds)


def cold(service: Service, rounds: int) -> None:
    """Measure each step from the PUT of a song at zero pods to its first finished block."""
    steps: dict[str, list[float]] = {}
    for _ in range(rounds):
        installation.wait_until_zero()
        body = _fresh(_SONG_S)
        with Watch(_FUNCTION) as watch:
            begin = time.time()
            key = service.put_song(body)
            put = time.time()
            manifest = service.wait_for_manifest(key)
            pod, lines = _pod_of(manifest["job"], watch.times)
            times = watch.times[pod]
            at = {line["event"]: line["at"] for line in lines if line["event"] != "job started"}
            job_started = next(line["at"] for line in lines if line["event"] == "job started")
            first_block = job_started + manifest["timings"]["first_block"]
            moments = [
                ("PUT", begin, put),
                ("the pod is created", put, times["created"]),
                ("it is scheduled", times["created"], times["scheduled"]),
                ("its process is started", times["scheduled"], process_start(pod, _FUNCTION)),
                ("the job is started", process_start(pod, _FUNCTION), job_started),
                ("the model is loaded", job_started, at["model loaded"]),
                ("the first block is finished", at["model loaded"], first_block),
                ("in total", begin, first_block),
            ]
        for name, start, stop in moments:
            steps.setdefault(name, []).append(stop - start)
    print(f"\nfrom a PUT at zero pods to the first block, {rounds} songs of {_SONG_S} s")
    for name, seconds in steps.items():
        _print_row(name, seconds)


def warm(service: Service, rounds: int) -> None:
    """Measure from a finished PUT to the start of the job, with an idle pod."""
    service.wait_for_manifest(service.put_song(_fresh(3)))
    delays = []
    for _ in range(4 * rounds):
        key = service.put_song(_fresh(3))
        put = time.time()
        manifest = service.wait_for_manifest(key)
        _, lines = _pod_of(manifest["job"], pods(_FUNCTION))
        lines_of_job = [line for line in lines if line.get("job") == manifest["job"]]
        delays.append(
            next(line["at"] for line in lines_of_job if line["event"] == "job started") - put
        )
    print(f"\nfrom a finished PUT to the start of the job, warm, {len(delays)} songs")
    _print_row("PUT to call", delays)


def burst(service: Service, rounds: int) -> None:
    """Measure ten songs at once, from zero pods."""
    seconds = []
    for _ in range(max(1, rounds // 2)):
        installation.wait_until_zero()
        songs = [_fresh(_SONG_S) for _ in range(10)]
        begin = time.time()
        keys = _put_at_once(service, songs)
        for key in keys:
            service.wait_for_manifest(key, 600)
        seconds.append(time.time() - begin)
    print(f"\nten songs of {_SONG_S} s at once, two pods, from zero")
    _print_row("all ten are done", seconds)
    print(f"  {10 * _SONG_S / statistics.median(seconds):.1f} s of audio per second")


def beside(service: Service, rounds: int) -> None:
    """Compare a song in a warm pod with one in the same function as a process of this machine."""
    inside, outside = [], []
    variables = {"MODEL": str(installation.full_model()), "OMP_NUM_THREADS": "2"}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), "bridge", _FUNCTION, **variables) as stack,
    ):

        def separate_outside(body: bytes) -> float:
            key, begin = f"{next(_numbers)}.mp3", time.time()
            stack.put_song(key, body)
            stack.wait_for_manifest(key)
            return time.time() - begin

        def separate_inside(body: bytes) -> float:
            begin = time.time()
            service.wait_for_manifest(service.put_song(body))
            return time.time() - begin

        separate_outside(_fresh(3))
        for _ in range(rounds):
            separate_inside(_fresh(3))  # starts a pod
            inside.append(separate_inside(_fresh(_SONG_S)))
            outside.append(separate_outside(_fresh(_SONG_S)))
    print(f"\na song of {_SONG_S} s from PUT to manifest, both warm, alternating")
    _print_row("in a pod", inside)
    _print_row("outside", outside)
    print(f"  ratio {statistics.median(inside) / statistics.median(outside):.2f}")


def _pod_of(job: str, names: Iterable[str]) -> tuple[str, list[dict[str, Any]]]:
    """Return the pod that did a job, and its log lines."""
    for pod in names:
        lines = log_lines(pod, _FUNCTION)
        if any(line.get("job") == job for line in lines):
            return pod, lines
    raise RuntimeError(f"no pod has logged the job {job}")


def _fresh(seconds: float) -> bytes:
    """Return a song of about `seconds` that has not been separated yet."""
    return mp3(seconds + next(_numbers) / 1000)


def _put_at_once(service: Service, songs: Iterable[bytes]) -> list[str]:
    keys = {f"burst/{next(_numbers)}.mp3": body for body in songs}
    in_parallel(
        *(lambda key=key, body=body: service.put_song(body, key) for key, body in keys.items())
    )
    return list(keys)


def _print_row(name: str, seconds: list[float]) -> None:
    median = statistics.median(seconds)
    print(f"  {name:30} {median:7.3f} s   {min(seconds):.3f} to {max(seconds):.3f}", flush=True)


if __name__ == "__main__":
    main()
