"""One process that does what the function does with a song, without store and bus.

    python -m benchmarks.one_song SONG INTO --model FOLDER [--times 2]

decodes, separates and encodes with the function's own modules and its settings, and leaves four
MP3 stems in INTO. It prints JSON; its times are the monotonic clock's, so that whoever started it
can count from that moment.
"""

import argparse
import json
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from minio import Minio

from functions.separate.audio import decode
from functions.separate.engine import Engine, Floats, Model
from functions.separate.engine.models import Models
from functions.separate.report import Report
from functions.separate.stems import separated
from microdemucs.options import Options

_LONGEST_S = 7200.0


def main() -> None:
    """Do it, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a folder with a model")
    parser.add_argument("--times", type=int, default=1, help="how often, in this process")
    asked = parser.parse_args()
    model, used = loaded(asked.model)
    ready = time.monotonic()
    songs = [_separate(asked.song, asked.into, model, used) for _ in range(asked.times)]
    print(json.dumps({"ready": ready, "precision": _precision(model), "songs": songs}))


@dataclass(slots=True)
class Used:
    """How long engines were at work: `seconds` in which at least one was, `windows` in all."""

    seconds: float = 0.0
    windows: int = 0
    _now: int = 0
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one(self) -> Iterator[None]:
        """An engine is at work; several may be at once."""
        with self._lock:
            if not self._now:
                self._since = time.monotonic()
            self._now += 1
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1
                self.windows += 1
                if not self._now:
                    self.seconds += time.monotonic() - self._since


def loaded(folder: Path) -> tuple[Model, Used]:
    """The model of a folder, as the function loads it, with its engines' time taken."""
    nowhere = cast(Minio, None)  # a path is never looked for in a store
    models = Models(nowhere, "", default=str(folder.resolve()))
    model, used = models.load(models.choose("")), Used()
    engines = tuple(cast(Engine, _Timed(engine, used)) for engine in model.engines)
    return replace(model, engines=engines), used


def _precision(model: Model) -> str:
    """What its numbers are while they are worked with."""
    return str(getattr(model.engines[0], "precision", "f32"))


class _Timed:
    """An engine, and the time that it takes."""

    def __init__(self, engine: Engine, used: Used) -> None:
        self._engine = engine
        self._used = used

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def separate(self, mix: Floats) -> Floats:
        with self._used.one():
            return self._engine.separate(mix)


class _Clock:
    """In the place of a job's report: when each phase was, and when the first block was done."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first_block = 0.0
        self.phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[Callable[[float], None]]:
        began = time.monotonic()

        def step(share: float) -> None:
            if name == "separating" and share and not self.first_block:
                self.first_block = time.monotonic()

        yield step
        self.phases[name] = round(time.monotonic() - began, 3)


def _separate(path: Path, into: Path, model: Model, used: Used) -> dict[str, Any]:
    clock, cpu = _Clock(), _cpu()
    network, windows = used.seconds, used.windows
    into.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file, clock.phase("decoding") as step:
        song = decode(file, _LONGEST_S, step)
    with (
        closing(song.samples),
        separated(song, model, Options(), "", cast(Report, clock)) as stems,
    ):
        for name, stem in stems.items():
            with (into / f"{name}.mp3").open("wb") as out:
                shutil.copyfileobj(stem, out)
    return {
        "began": clock.began,
        "first_block": clock.first_block,
        "done": time.monotonic(),
        "phases": clock.phases,
        "cpu": _cpu() - cpu,
        "network": used.seconds - network,
        "windows": used.windows - windows,
    }


def _cpu() -> float:
    """Seconds, with the children's."""
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
