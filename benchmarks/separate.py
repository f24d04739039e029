"""Compare how demucs, demucs-onnx and this project separate a song into four MP3 stems.

    python -m benchmarks.separate [--quick] [--rounds N] [--minutes N]
    python -m benchmarks.separate --hour [tiny]

It runs rounds of all programs, in another order each, and prints a table of medians. The last line
is `ratio N.NN`: demucs' median over ours, cold. A run during which others used more than 5 % of
the cores is discarded and repeated; if that does not help, nothing is reported and the exit status
is 1. --hour compares the memory for an hour of audio with that for 3 minutes instead.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks import table
from benchmarks.load import LIMIT
from benchmarks.memory import compare
from benchmarks.process import Run, run
from benchmarks.programs import NAME, Figures, Program, all_programs, environment
from testing.long_songs import long_song

CACHE = Path.home() / ".cache/micro-demucs/benchmark"
_REPEATS = 3
# s of the song, s of the excerpt that is compared sample by sample, rounds, minutes
_FULL, _QUICK = (180, 30, 5, 40), (28, 8, 2, 5)
_WARM_UP_S = 5


class Disturbed(RuntimeError):
    """Other processes used the cores; the text says how much."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a short song, within 5 minutes")
    parser.add_argument("--rounds", type=int, help="rounds of all programs")
    parser.add_argument("--minutes", type=float, help="after this time no run is repeated")
    parser.add_argument("--hour", nargs="?", const="full", choices=["full", "tiny"])
    arguments = parser.parse_args()
    seconds, excerpt, rounds, minutes = _QUICK if arguments.quick else _FULL
    runner = Runner(time.monotonic() + 60 * (arguments.minutes or minutes))
    model = _model()
    if arguments.hour:
        return compare(model if arguments.hour == "full" else None, CACHE)
    try:
        text = _compare(model, seconds, excerpt, arguments.rounds or rounds, runner)
    except Disturbed as disturbed:
        print(f"nothing is reported: {disturbed}", file=sys.stderr)
        return 1
    print("\n" + text)
    return 0


@dataclass(slots=True)
class Runner:
    """Repeats disturbed runs until the monotonic time `until`; `discarded` counts them."""

    until: float
    discarded: int = 0

    def run(self, label: str, program: Program, path: Path) -> Run:
        """Return a run that others did not disturb. Raises Disturbed."""
        attempts = 0
        while True:
            finished = program.process(path)
            print(f"{label:26} {finished.seconds:7.1f} s   load: {finished.others}", flush=True)
            if not finished.others.is_too_high:
                return finished
            self.discarded += 1
            attempts += 1
            if attempts > _REPEATS or time.monotonic() + finished.seconds > self.until:
                raise Disturbed(
                    f"all {attempts} runs of {program.name} were disturbed, the last "
                    f"{finished.others} ({LIMIT:.0%} are accepted). "
                    "End other programs, and start again"
                )


def _compare(model: Path, seconds: int, excerpt: int, rounds: int, runner: Runner) -> str:
    songs = CACHE / "songs"
    programs = all_programs(model, CACHE)
    for program in programs[:-1]:  # the first run compiles, and fills the disk cache
        seconds_taken = program.process(long_song(_WARM_UP_S, songs)).seconds
        print(f"{program.name + ', first run':26} {seconds_taken:7.1f} s")
    peaks = json.loads(_run_module("benchmarks.peak").output)
    path = long_song(seconds, songs)
    figures: dict[str, list[Figures]] = {program.name: [] for program in programs}
    for number in range(rounds):
        first = number % len(programs)
        for program in programs[first:] + programs[:first]:
            finished = runner.run(f"round {number + 1}, {program.name}", program, path)
            figures[program.name].append(program.read(finished))
    arguments = [str(long_song(excerpt, songs)), "--model", str(model)]
    distances = json.loads(_run_module("benchmarks.accuracy", *arguments).output)
    about = json.loads((model / "about.json").read_text())
    return table.text(table.Measured(seconds, figures, peaks, distances, about, runner.discarded))


def _model() -> Path:
    """Return the folder of the network; write it if needed."""
    digest = sha256((Path(__file__).parent / "network.py").read_bytes()).hexdigest()[:8]
    folder = CACHE / digest / NAME
    _run_module("benchmarks.network", str(folder))
    return folder


def _run_module(name: str, *arguments: str) -> Run:
    return run([sys.executable, "-m", name, *arguments], environment(CACHE))


if __name__ == "__main__":
    sys.exit(main())
