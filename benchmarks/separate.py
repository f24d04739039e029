"""A whole song to four MP3 stems: demucs' own command, demucs-onnx and ours, side by side.

    python -m benchmarks.separate [--quick] [--rounds N] [--minutes N]
    python -m benchmarks.separate --hour [tiny]

Rounds of all programs, in another order each; a table of medians, and as the last line
`ratio N.NN`: demucs' median over ours, cold. A run during which others used more than 5 % of the
cores is thrown away and done again; where that does not help, nothing is reported and the exit
status is 1. --hour compares the memory that an hour takes with that of 3 minutes instead.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks import table
from benchmarks.memory import compare
from benchmarks.process import Run, run
from benchmarks.quiet import MOST
from benchmarks.songs import song
from benchmarks.subjects import NAME, Figures, Subject, environment, subjects

CACHE = Path.home() / ".cache/micro-demucs/benchmark"
_AGAIN = 3
# s of the song, s of what is compared with demucs' samples, rounds, minutes
_FULL, _QUICK = (180, 30, 5, 40), (28, 8, 2, 5)
_WARM_UP_S = 5


class Disturbed(RuntimeError):
    """Others used the cores; the text says how much."""


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a short song, within 5 minutes")
    parser.add_argument("--rounds", type=int, help="of all programs")
    parser.add_argument("--minutes", type=float, help="after which no run is done again")
    parser.add_argument("--hour", nargs="?", const="full", choices=["full", "tiny"])
    asked = parser.parse_args()
    seconds, excerpt, rounds, minutes = _QUICK if asked.quick else _FULL
    patience = Patience(time.monotonic() + 60 * (asked.minutes or minutes))
    model = _model()
    if asked.hour:
        return compare(model if asked.hour == "full" else None, CACHE)
    try:
        said = _compare(model, seconds, excerpt, asked.rounds or rounds, patience)
    except Disturbed as disturbed:
        print(f"nothing is reported: {disturbed}", file=sys.stderr)
        return 1
    print("\n" + said)
    return 0


@dataclass(slots=True)
class Patience:
    """`until` is the monotonic clock's; `thrown_away` counts the disturbed runs."""

    until: float
    thrown_away: int = 0

    def quiet(self, what: str, subject: Subject, song_: Path) -> Run:
        """A run during which the machine was ours. Raises Disturbed."""
        attempts = 0
        while True:
            one = subject.process(song_)
            print(f"{what:26} {one.seconds:7.1f} s   used {one.others}", flush=True)
            if not one.others.too_many:
                return one
            self.thrown_away += 1
            attempts += 1
            if attempts > _AGAIN or time.monotonic() + one.seconds > self.until:
                raise Disturbed(
                    f"all {attempts} runs of {subject.name} were disturbed, the last {one.others} "
                    f"({MOST:.0%} together are accepted). End what else is running, and start again"
                )


def _compare(model: Path, seconds: int, excerpt: int, rounds: int, patience: Patience) -> str:
    cached = CACHE / "songs"
    programs = subjects(model, CACHE)
    for one in programs[:-1]:  # what is made on first use, and what a disk reads once
        print(
            f"{one.name + ', first use':26} {one.process(song(_WARM_UP_S, cached)).seconds:7.1f} s"
        )
    peaks = json.loads(_module("benchmarks.peak").said)
    whole = song(seconds, cached)
    figures: dict[str, list[Figures]] = {one.name: [] for one in programs}
    for number in range(rounds):
        turn = number % len(programs)
        for one in programs[turn:] + programs[:turn]:
            done = patience.quiet(f"round {number + 1}, {one.name}", one, whole)
            figures[one.name].append(one.read(done))
    arguments = [str(song(excerpt, cached)), "--model", str(model)]
    distances = json.loads(_module("benchmarks.accuracy", *arguments).said)
    about = json.loads((model / "about.json").read_text())
    return table.text(
        table.Measured(seconds, figures, peaks, distances, about, patience.thrown_away)
    )


def _model() -> Path:
    """The folder of the network, made now or before."""
    made_by = sha256((Path(__file__).parent / "network.py").read_bytes()).hexdigest()[:8]
    folder = CACHE / made_by / NAME
    _module("benchmarks.network", str(folder))
    return folder


def _module(name: str, *arguments: str) -> Run:
    return run([sys.executable, "-m", name, *arguments], environment(CACHE))


if __name__ == "__main__":
    sys.exit(main())
