"""The compared programs: each separates a song into four MP3 stems, started as its user would.

All get the same song and weights, write 320 kbit/s, and may use all cores. The environment may set
ENGINE, PRECISION and MP3_QUALITY for ours.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import process
from benchmarks.process import Run

NAME = "htdemucs_random"
"""The name of the network and of its folder: see benchmarks.network."""
DEMUCS, ONNX, COLD, WARM = "demucs", "demucs-onnx", "ours, cold", "ours, second song"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one song, in s and bytes; 0 if the program does not report one.

    `ready` and `first_block` count from the start of the process. `network` is how many of the
    `seconds` a network was running; `windows` is the number of segments that it processed.
    """

    seconds: float
    cpu: float
    rss: int
    ready: float = 0.0
    first_block: float = 0.0
    network: float = 0.0
    windows: int = 0
    precision: str = "f32"


@dataclass(frozen=True, slots=True)
class Program:
    """A program: its command for a song, and how to read the figures of a finished run."""

    name: str
    command: Callable[[Path], list[str]]
    environment: dict[str, str]
    read: Callable[[Run], Figures]

    def process(self, song: Path) -> Run:
        """Run the program with a song to its end. Raises Failed."""
        return process.run(self.command(song), self.environment)


def all_programs(model: Path, cache: Path) -> list[Program]:
    """Return the programs; `model`: the folder of benchmarks.network, `cache`: for the stems."""
    variables = environment(cache)
    about = json.loads((model / "about.json").read_text())
    programs = [
        Program(DEMUCS, lambda song: _demucs(song, model, cache), variables, _read_process),
        Program(ONNX, lambda song: _onnx(song, model, cache), variables, _read_process),
        ours(model, cache),
        ours(model, cache, times=2),
    ]
    return [program for program in programs if program.name != ONNX or not about["demucs-onnx"]]


def ours(model: Path, cache: Path, times: int = 1) -> Program:
    """Return our program, for one song, or for the second of two in the same process."""

    def command(song: Path) -> list[str]:
        output = str(cache / "stems/ours")
        arguments = [str(song), output, "--times", str(times)]
        return [sys.executable, "-m", "benchmarks.one_song", *arguments]

    return Program(
        COLD if times == 1 else WARM,
        command,
        environment(cache) | {"MODEL": str(model)},
        _read_cold if times == 1 else _read_second,
    )


def environment(cache: Path) -> dict[str, str]:
    """Return our environment, with the programs' caches in `cache`, and without the hub."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "PYTHONPYCACHEPREFIX": str(cache / "bytecode"),
        "MODELS_CACHE": str(cache / "models"),
        "HF_HUB_OFFLINE": "1",
    }


def _demucs(song: Path, model: Path, cache: Path) -> list[str]:
    options = ["--mp3", "-n", model.name, "--repo", str(model), "-o", str(cache / "stems")]
    return [sys.executable, "-m", "demucs", *options, str(song)]


def _onnx(song: Path, model: Path, cache: Path) -> list[str]:
    """Return its command for its htdemucs, in whose place the hub's cache has our weights."""
    program = str(Path(sys.executable).parent / "demucs-onnx")
    options = ["--model", "htdemucs", "--mp3", "--bitrate", "320k", "--quiet"]
    options += ["--cache-dir", str(model / "hub")]
    return [program, "separate", str(song), str(cache / "stems/demucs-onnx"), *options]


def _read_process(run: Run) -> Figures:
    return Figures(run.seconds, run.cpu, run.rss)


def _read_cold(run: Run) -> Figures:
    report = json.loads(run.output)
    [song] = report["songs"]
    return Figures(
        run.seconds,
        run.cpu,
        run.rss,
        report["ready"] - run.started,
        song["first_block"] - run.started,
        song["network"],
        song["windows"],
        report["precision"],
    )


def _read_second(run: Run) -> Figures:
    report = json.loads(run.output)
    song = report["songs"][1]
    return Figures(
        song["done"] - song["started"],
        song["cpu"],
        run.rss,
        0.0,
        song["first_block"] - song["started"],
        song["network"],
        song["windows"],
        report["precision"],
    )
