"""One song over several pods: two of one core beside one of two, and what more would give.

What 8 and 32 pods would take is computed from what was measured: each pod is a core as here, ranges
cost their windows and what each request costs beside them, and joining costs what it cost here.
"""

import statistics
import time
from dataclasses import dataclass

from benchmarks.pods import said
from benchmarks.songs import song
from local.binaries import CACHE
from testing.cluster import installation
from testing.cluster.kubectl import pods
from testing.cluster.service import Service

_SONG_S, _MIX_S = 180, 7200
_SHORTEST_S = 20  # as functions.separate.ranges.partition has it
_WINDOW_S = 5.85  # of audio that each window of htdemucs adds


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one core, in s: a window, a request beside its windows, joining a second of audio, and
    what comes before the first range."""

    window: float
    request: float
    joining: float
    before: float


def measure(service: Service, rounds: int) -> None:
    """Print both, and the computed ones."""
    rounds = max(2, rounds // 2)
    one, two, costs = [], [], []
    try:
        for number in range(rounds):
            installation.configure(cpu="2", SEPARATE_CONCURRENCY="1", SONG_CONCURRENCY="1")
            one.append(_done(service, _SONG_S + 2 * number))
            installation.configure(cpu="1", SEPARATE_CONCURRENCY="2", SONG_CONCURRENCY="2")
            two.append(_done(service, _SONG_S + 2 * number + 1, costs))
    finally:
        installation.configure(cpu="4", SEPARATE_CONCURRENCY="2", SONG_CONCURRENCY="1")
    print(f"\na song of {_SONG_S} s from PUT to manifest, from zero pods, {rounds} times")
    print(f"  one pod of two cores    {statistics.median(one):7.1f} s")
    print(f"  two pods of one core    {statistics.median(two):7.1f} s")
    mean = Costs(*(statistics.median(values) for values in zip(*map(_values, costs), strict=True)))
    print(
        f"  of one core: a window {mean.window:.2f} s, a request beside its windows "
        f"{mean.request:.2f} s, joining a minute {60 * mean.joining:.2f} s, "
        f"before the first range {mean.before:.2f} s"
    )
    for seconds in (_SONG_S, _MIX_S):
        for count in (1, 2, 8, 32):
            took = computed(mean, seconds, count)
            print(f"  computed: {seconds:5} s of audio, {count:2} pods of one core {took:8.1f} s")


def long(service: Service, _: int) -> None:
    """Two hours under the time limit of a request, with the small model that comes with it."""
    body = song(_MIX_S, CACHE / "benchmark/songs").read_bytes()
    installation.wait_until_zero()
    begin = time.time()
    manifest = service.wait_for_manifest(service.put_song(body, model="htdemucs_tiny"), 3600)
    took = time.time() - begin
    lines = [line for pod in pods("separate") for line in said(pod, "separate")]
    ours = [line for line in lines if line.get("job") == manifest["job"]]
    began = {line["range"]: line["at"] for line in ours if line["event"] == "range started"}
    requests = [line["at"] - began[line["range"]] for line in ours if line["event"] == "range done"]
    last = max(line["at"] for line in ours if line["event"] == "range done")
    joining = next(line["at"] for line in ours if line["event"] == "job done") - last
    print(f"\n{_MIX_S} s of audio with htdemucs_tiny, a range at a time, a request at most 600 s")
    print(
        f"  all of it {took:.0f} s: {len(requests)} ranges, {statistics.median(requests):.0f} s "
        f"each, the longest {max(requests):.0f} s; joined in {joining:.0f} s"
    )


def computed(costs: Costs, seconds: float, count: int) -> float:
    """What a song takes on `count` pods of one core each, none of which does anything else."""
    windows = max(1, round(seconds / _WINDOW_S))
    if count == 1:
        return costs.before + windows * costs.window + costs.joining * seconds
    ranges = max(1, min(count, int(seconds / _SHORTEST_S), windows))
    longest = -(-windows // ranges)
    return costs.before + costs.request + longest * costs.window + costs.joining * seconds


def _values(costs: Costs) -> tuple[float, ...]:
    return costs.window, costs.request, costs.joining, costs.before


def _done(service: Service, seconds: int, costs: list[Costs] | None = None) -> float:
    """How long a song took; each is another, since the same audio is not separated twice."""
    installation.wait_until_zero()
    body = song(seconds, CACHE / "benchmark/songs").read_bytes()
    begin = time.time()
    manifest = service.wait_for_manifest(service.put_song(body), 600)
    took = time.time() - begin
    if costs is not None:
        costs.append(_costs(manifest["job"], begin, seconds))
    return took


def _costs(job: str, put: float, seconds: float) -> Costs:
    lines = [
        line for pod in pods("separate") for line in said(pod, "separate") if line.get("job") == job
    ]
    asked = next(line["at"] for line in lines if line["event"] == "ranges requested")
    began = {line["range"]: line["at"] for line in lines if line["event"] == "range started"}
    done = {line["range"]: line for line in lines if line["event"] == "range done"}
    separating = [line["timings"]["separating"] for line in done.values()]
    windows = seconds / _WINDOW_S / len(done)
    end = next(line["at"] for line in lines if line["event"] == "job done")
    return Costs(
        window=statistics.median(separating) / windows,
        request=statistics.median(
            line["at"] - began[number] - line["timings"]["separating"]
            for number, line in done.items()
        )
        + max(0.0, min(began.values()) - asked),
        joining=(end - max(line["at"] for line in done.values())) / seconds,
        before=asked - put,
    )
