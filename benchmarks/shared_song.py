"""Compare one song on two pods of one core with the same on one pod of two cores.

The time on 8 and 32 pods is computed from the measured costs: each pod has one core, a range costs
its windows and the overhead of its request, and joining costs the same per second of audio.
"""

import statistics
import time
from dataclasses import dataclass

from benchmarks.pods import log_lines
from local.binaries import CACHE
from testing.cluster import installation
from testing.cluster.kubectl import pods
from testing.cluster.service import Service
from testing.long_songs import long_song

_SONG_S, _MIX_S = 180, 7200
_SHORTEST_S = 20  # as in functions.separate.ranges.partition
_WINDOW_S = 5.85  # of audio that each further window of htdemucs covers


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs in s on one core.

    `window`: of each window. `request`: the overhead of each range's request. `joining`: of each
    second of audio. `before`: from the PUT to the request of the ranges.
    """

    window: float
    request: float
    joining: float
    before: float


def measure(service: Service, rounds: int) -> None:
    """Measure both, and print them with the computed times."""
    rounds = max(2, rounds // 2)
    one_pod: list[float] = []
    two_pods: list[float] = []
    costs: list[Costs] = []
    try:
        for number in range(rounds):
            installation.configure(cpu="2", SEPARATE_CONCURRENCY="1", SONG_CONCURRENCY="1")
            one_pod.append(_measure_song(service, _SONG_S + 2 * number))
            installation.configure(cpu="1", SEPARATE_CONCURRENCY="2", SONG_CONCURRENCY="2")
            two_pods.append(_measure_song(service, _SONG_S + 2 * number + 1, costs))
    finally:
        installation.configure(cpu="4", SEPARATE_CONCURRENCY="2", SONG_CONCURRENCY="1")
    print(f"\na song of {_SONG_S} s from PUT to manifest, from zero pods, {rounds} times")
    print(f"  one pod of two cores    {statistics.median(one_pod):7.1f} s")
    print(f"  two pods of one core    {statistics.median(two_pods):7.1f} s")
    mean = Costs(*(statistics.median(values) for values in zip(*map(_values, costs), strict=True)))
    print(
        f"  costs on one core: window {mean.window:.2f} s, overhead of a request "
        f"{mean.request:.2f} s, joining a minute {60 * mean.joining:.2f} s, "
        f"before the first range {mean.before:.2f} s"
    )
    for seconds in (_SONG_S, _MIX_S):
        for count in (1, 2, 8, 32):
            computed_s = compute(mean, seconds, count)
            pods_text = f"{count:2} pods of one core"
            print(f"  computed: {seconds:5} s of audio, {pods_text} {computed_s:8.1f} s")


def long(service: Service, _: int) -> None:
    """Separate two hours within the time limit of a request, with the bundled model."""
    body = long_song(_MIX_S, CACHE / "benchmark/songs").read_bytes()
    installation.wait_until_zero()
    begin = time.time()
    manifest = service.wait_for_manifest(service.put_song(body, model="htdemucs_tiny"), 3600)
    seconds = time.time() - begin
    lines = [line for pod in pods("separate") for line in log_lines(pod, "separate")]
    lines_of_job = [line for line in lines if line.get("job") == manifest["job"]]
    starts = {
        line["range"]: line["at"] for line in lines_of_job if line["event"] == "range started"
    }
    requests = [
        line["at"] - starts[line["range"]] for line in lines_of_job if line["event"] == "range done"
    ]
    last = max(line["at"] for line in lines_of_job if line["event"] == "range done")
    joining = next(line["at"] for line in lines_of_job if line["event"] == "job done") - last
    print(
        f"\n{_MIX_S} s of audio with htdemucs_tiny, one range at a time, 600 s at most per request"
    )
    print(
        f"  in total {seconds:.0f} s: {len(requests)} ranges, {statistics.median(requests):.0f} s "
        f"each, the longest {max(requests):.0f} s; joined in {joining:.0f} s"
    )


def compute(costs: Costs, seconds: float, count: int) -> float:
    """Return the time for a song on `count` idle pods of one core each."""
    windows = max(1, round(seconds / _WINDOW_S))
    if count == 1:
        return costs.before + windows * costs.window + costs.joining * seconds
    ranges = max(1, min(count, int(seconds / _SHORTEST_S), windows))
    longest = -(-windows // ranges)
    return costs.before + costs.request + longest * costs.window + costs.joining * seconds


def _values(costs: Costs) -> tuple[float, ...]:
    return costs.window, costs.request, costs.joining, costs.before


def _measure_song(service: Service, seconds: int, costs: list[Costs] | None = None) -> float:
    """Return the time for a song. Each must differ, as the same audio is not separated twice."""
    installation.wait_until_zero()
    body = long_song(seconds, CACHE / "benchmark/songs").read_bytes()
    begin = time.time()
    manifest = service.wait_for_manifest(service.put_song(body), 600)
    taken = time.time() - begin
    if costs is not None:
        costs.append(_costs(manifest["job"], begin, seconds))
    return taken


def _costs(job: str, put: float, seconds: float) -> Costs:
    lines = [
        line
        for pod in pods("separate")
        for line in log_lines(pod, "separate")
        if line.get("job") == job
    ]
    requested = next(line["at"] for line in lines if line["event"] == "ranges requested")
    starts = {line["range"]: line["at"] for line in lines if line["event"] == "range started"}
    done = {line["range"]: line for line in lines if line["event"] == "range done"}
    separating = [line["timings"]["separating"] for line in done.values()]
    windows = seconds / _WINDOW_S / len(done)
    end = next(line["at"] for line in lines if line["event"] == "job done")
    return Costs(
        window=statistics.median(separating) / windows,
        request=statistics.median(
            line["at"] - starts[number] - line["timings"]["separating"]
            for number, line in done.items()
        )
        + max(0.0, min(starts.values()) - requested),
        joining=(end - max(line["at"] for line in done.values())) / seconds,
        before=requested - put,
    )
