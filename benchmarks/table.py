"""What benchmarks.separate has measured, as text."""

import os
import platform
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmarks.subjects import COLD, DEMUCS, ONNX, Figures

_COLUMNS = (
    "program", "s", "min", "max", "times real time", "CPU s", "peak RSS MB",
    "first block s", "% of peak", "network's %",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """`peaks` is FLOP/s by precision, of "gemm" and "conv"; `distances` is dB by precision."""

    song: int
    figures: dict[str, list[Figures]]
    peaks: dict[str, dict[str, float]]
    distances: dict[str, dict[str, float]]
    about: dict[str, Any]
    thrown_away: int


def text(measured: Measured) -> str:
    """The table, what must be known beside it, and as the last line the ratio."""
    figures = measured.figures
    cold, theirs = figures[COLD], figures[DEMUCS]
    pairs = sorted(a.seconds / b.seconds for a, b in zip(theirs, cold, strict=True))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_machine()}",
        f"a song of {measured.song} s to four MP3 stems, {len(cold)} rounds, "
        f"{measured.thrown_away} disturbed runs thrown away",
        "",
        *_table(measured),
        "",
        *_peaks(measured),
        *_distances(measured),
        f"ours, cold: ready {_median(cold, 'ready'):.2f} s after its process was started, "
        f"the first block {_median(cold, 'first_block'):.2f} s after it",
    ]
    if measured.about["demucs-onnx"]:
        lines.append(f"demucs-onnx could not be measured: {measured.about['demucs-onnx']}")
    else:
        faster = _median(figures[ONNX], "seconds") / _median(cold, "seconds")
        lines.append(f"demucs-onnx takes {faster:.2f} times as long as ours, cold")
    lines.append("demucs/ours round by round: " + ", ".join(f"{one:.2f}" for one in pairs))
    lines.append(f"ratio {_median(theirs, 'seconds') / _median(cold, 'seconds'):.2f}")
    return "\n".join(lines)


def _table(measured: Measured) -> list[str]:
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS)]
    # all cut the same song into the same segments
    [windows] = {one.windows for one in measured.figures[COLD]}
    work = measured.about["flops"] * windows
    for name, runs in measured.figures.items():
        seconds = _median(runs, "seconds")
        [precision] = {one.precision for one in runs}
        most = measured.peaks[precision]["gemm"]
        network, block = _median(runs, "network"), _median(runs, "first_block")
        rows.append(
            (
                f"{name} ({precision})",
                f"{seconds:.1f}",
                f"{min(one.seconds for one in runs):.1f}",
                f"{max(one.seconds for one in runs):.1f}",
                f"{measured.song / seconds:.1f}",
                f"{_median(runs, 'cpu'):.1f}",
                f"{_median(runs, 'rss') / 1e6:.0f}",
                f"{block:.2f}" if block else "",
                f"{work / seconds / most:.0%}",
                f"{work / network / most:.0%}" if network else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]


def _peaks(measured: Measured) -> list[str]:
    per_segment = measured.about["flops"] / 1e9
    said = [
        f"{precision}: matrix products {most['gemm'] / 1e9:.0f}, convolutions "
        f"{most['conv'] / 1e9:.0f} GFLOP/s"
        for precision, most in measured.peaks.items()
    ]
    return [
        f"one segment is {per_segment:.0f} GFLOP; peaks measured here, " + "; ".join(said),
        "% of peak: the networks' FLOP over the time and the peak of matrix products in that "
        "precision",
    ]


def _distances(measured: Measured) -> list[str]:
    return [
        f"from demucs' own samples, {precision}: {apart['all']:.1f} dB, its worst stem "
        f"{apart['worst stem']:.1f} dB"
        for precision, apart in measured.distances.items()
    ]


def _median(runs: list[Figures], name: str) -> float:
    return float(statistics.median(map(attrgetter(name), runs)))


def _machine() -> str:
    """The processor, as its own name has it, and how much of it there is."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in described if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{(models or [platform.machine()])[0]}, {cores} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}"
    )
