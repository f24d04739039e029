"""What is measured: three programs that make four MP3 stems of a song, each as its user starts it.

All get the same song and the same weights, write 320 kbit/s, and may use all cores. Settings of
ours (ENGINE, PRECISION, MP3_QUALITY) can be given as always.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import Run, run

NAME = "htdemucs_random"
"""Of the network, and of the folder that it is in: see benchmarks.network."""
DEMUCS, ONNX, COLD, WARM = "demucs", "demucs-onnx", "ours, cold", "ours, second song"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one song, in s and bytes; 0.0 and 0 where the program does not tell.

    `ready` and `first_block` count from the start of the process, `network` is the part of
    `seconds` in which a network was at work, `windows` how many segments it was given.
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
class Subject:
    """A program: how it is started with a song, and what its run says."""

    name: str
    command: Callable[[Path], list[str]]
    environment: dict[str, str]
    read: Callable[[Run], Figures]

    def process(self, song: Path) -> Run:
        """From its start to its end. Raises Failed."""
        return run(self.command(song), self.environment)


def subjects(model: Path, cache: Path) -> list[Subject]:
    """`model` is the folder that benchmarks.network made; the stems go into `cache`."""
    here = environment(cache)
    about = json.loads((model / "about.json").read_text())
    chosen = [
        Subject(DEMUCS, lambda song: _demucs(song, model, cache), here, _whole),
        Subject(ONNX, lambda song: _onnx(song, model, cache), here, _whole),
        ours(model, cache),
        ours(model, cache, times=2),
    ]
    return [one for one in chosen if one.name != ONNX or not about["demucs-onnx"]]


def ours(model: Path, cache: Path, times: int = 1) -> Subject:
    """The function's own path, for one song, or for the second of two in the same process."""

    def command(song: Path) -> list[str]:
        into = str(cache / "stems/ours")
        one = [sys.executable, "-m", "benchmarks.one_song", str(song), into]
        return [*one, "--times", str(times)]

    return Subject(
        COLD if times == 1 else WARM,
        command,
        environment(cache) | {"MODEL": str(model)},
        _cold if times == 1 else _second,
    )


def environment(cache: Path) -> dict[str, str]:
    """Ours, with what programs keep between two runs in `cache`, and no hub to ask."""
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
    """Its command for its single model, whose place in the hub's cache holds our weights."""
    program = str(Path(sys.executable).parent / "demucs-onnx")
    options = ["--model", "htdemucs", "--mp3", "--bitrate", "320k", "--quiet"]
    options += ["--cache-dir", str(model / "hub")]
    return [program, "separate", str(song), str(cache / "stems/demucs-onnx"), *options]


def _whole(one: Run) -> Figures:
    return Figures(one.seconds, one.cpu, one.rss)


def _cold(one: Run) -> Figures:
    told = json.loads(one.said)
    [song] = told["songs"]
    return Figures(
        one.seconds,
        one.cpu,
        one.rss,
        told["ready"] - one.began,
        song["first_block"] - one.began,
        song["network"],
        song["windows"],
        told["precision"],
    )


def _second(one: Run) -> Figures:
    told = json.loads(one.said)
    song = told["songs"][1]
    return Figures(
        song["done"] - song["began"],
        song["cpu"],
        one.rss,
        0.0,
        song["first_block"] - song["began"],
        song["network"],
        song["windows"],
        told["precision"],
    )
