"""Format what benchmarks.separate has measured."""

import os
import platform
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmarks.programs import COLD, DEMUCS, ONNX, Figures

_COLUMNS = (
    "program", "s", "min", "max", "times real time", "CPU s", "peak RSS MB",
    "first block s", "% of peak", "network's %",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    `song`: its length in s. `peaks`: FLOP/s of "gemm" and "conv", by precision. `distances`: dB of
    "all" and "worst stem", by precision. `about`: about.json of benchmarks.network.
    """

    song: int
    figures: dict[str, list[Figures]]
    peaks: dict[str, dict[str, float]]
    distances: dict[str, dict[str, float]]
    about: dict[str, Any]
    discarded: int


def text(measured: Measured) -> str:
    """Return the table, its explanation, and the ratio as the last line."""
    figures = measured.figures
    cold, demucs = figures[COLD], figures[DEMUCS]
    ratios = sorted(a.seconds / b.seconds for a, b in zip(demucs, cold, strict=True))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_machine()}",
        f"a song of {measured.song} s to four MP3 stems, {len(cold)} rounds, "
        f"{measured.discarded} disturbed runs discarded",
        "",
        *_table(measured),
        "",
        *_peaks(measured),
        *_distances(measured),
        f"ours, cold: ready {_median(cold, 'ready'):.2f} s after the start of its process, "
        f"first block after {_median(cold, 'first_block'):.2f} s",
    ]
    if measured.about["demucs-onnx"]:
        lines.append(f"demucs-onnx could not be measured: {measured.about['demucs-onnx']}")
    else:
        slowdown = _median(figures[ONNX], "seconds") / _median(cold, "seconds")
        lines.append(f"demucs-onnx takes {slowdown:.2f} times as long as ours, cold")
    lines.append("demucs/ours round by round: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))
    lines.append(f"ratio {_median(demucs, 'seconds') / _median(cold, 'seconds'):.2f}")
    return "\n".join(lines)


def _table(measured: Measured) -> list[str]:
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS)]
    # all programs cut the song into the same segments
    [windows] = {run.windows for run in measured.figures[COLD]}
    work = measured.about["flops"] * windows
    for name, runs in measured.figures.items():
        seconds = _median(runs, "seconds")
        [precision] = {run.precision for run in runs}
        peak = measured.peaks[precision]["gemm"]
        network, block = _median(runs, "network"), _median(runs, "first_block")
        rows.append(
            (
                f"{name} ({precision})",
                f"{seconds:.1f}",
                f"{min(run.seconds for run in runs):.1f}",
                f"{max(run.seconds for run in runs):.1f}",
                f"{measured.song / seconds:.1f}",
                f"{_median(runs, 'cpu'):.1f}",
                f"{_median(runs, 'rss') / 1e6:.0f}",
                f"{block:.2f}" if block else "",
                f"{work / seconds / peak:.0%}",
                f"{work / network / peak:.0%}" if network else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]


def _peaks(measured: Measured) -> list[str]:
    per_segment = measured.about["flops"] / 1e9
    peaks = [
        f"{precision}: matrix products {peak['gemm'] / 1e9:.0f}, convolutions "
        f"{peak['conv'] / 1e9:.0f} GFLOP/s"
        for precision, peak in measured.peaks.items()
    ]
    return [
        f"one segment is {per_segment:.0f} GFLOP; peaks measured here, " + "; ".join(peaks),
        "% of peak: the networks' FLOP, divided by the time and by the peak of matrix products in "
        "that precision",
    ]


def _distances(measured: Measured) -> list[str]:
    return [
        f"difference from demucs' samples, {precision}: {distance['all']:.1f} dB, worst stem "
        f"{distance['worst stem']:.1f} dB"
        for precision, distance in measured.distances.items()
    ]


def _median(runs: list[Figures], name: str) -> float:
    return float(statistics.median(map(attrgetter(name), runs)))


def _machine() -> str:
    """Return the name of the processor, its cores, the memory and the version of Python."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{(models or [platform.machine()])[0]}, {cores} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}"
    )
