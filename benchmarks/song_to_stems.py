"""What the function does with a song, without store and bus: a folder stands for the bucket."""

import resource
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from functions.separate.audio.decoder import decode
from functions.separate.engine import Engine, Floats, Model
from functions.separate.engine.registry import ModelRegistry
from functions.separate.output.stems_writer import open_stems
from functions.separate.stems import choose_stems, make_plan, separate_song
from microdemucs.options import Options

_LONGEST_S = 7200.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model whose engines' time is taken, and when it was ready."""

    model: Model
    used: "Used"
    ready: float
    precision: str


def load(models: ModelRegistry) -> Loaded:
    """The default of `models`, as the function loads it."""
    model, used = models.load(models.choose("")), Used()
    precision = str(getattr(model.engines[0], "precision", "f32"))
    engines = tuple(cast(Engine, _Timed(engine, used)) for engine in model.engines)
    return Loaded(replace(model, engines=engines), used, time.monotonic(), precision)


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


def separate(path: Path, into: Path, loading: Future[Loaded]) -> dict[str, Any]:
    """As functions.separate.job_runner does it; what it took."""
    began, cpu = time.monotonic(), _cpu()
    first_block, options, go_on = 0.0, Options(), _nothing
    with path.open("rb") as file, decode(file, _LONGEST_S, go_on) as song:
        loaded = loading.result()
        model, used = loaded.model, loaded.used
        network, windows = used.seconds, used.windows
        stems = choose_stems(model, options)
        with open_stems(_Folder(into), stems, options, song.length) as writer:
            plan = make_plan(model, song.length, options, "")
            for block in separate_song(song, plan, go_on):
                first_block = first_block or time.monotonic()
                writer.write(block)
            writer.wait()
            writer.reencode(go_on)
            writer.finish()
    return {
        "began": began,
        "first_block": first_block,
        "done": time.monotonic(),
        "cpu": _cpu() - cpu,
        "network": used.seconds - network,
        "windows": used.windows - windows,
    }


def _nothing(share: float) -> None:
    """Nobody is told, and nobody ends it."""


def _cpu() -> float:
    """Seconds, with the children's."""
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class _Folder:
    """A folder that stems are written to: a functions.separate.output.destination.Destination."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path

    def stem_key(self, file_name: str) -> str:
        return file_name

    def upload(self, key: str, content_type: str, file: BinaryIO) -> "_Copied":
        return _Copied(self._path / key, file)

    def preview(self, file_name: str, file: BinaryIO) -> "_NoPreview":
        return _NoPreview()


class _Copied:
    """A stem that is copied into the folder when it is finished."""

    def __init__(self, into: Path, file: BinaryIO) -> None:
        self._into = into
        self._file = file

    def grown(self, size: int) -> None:
        """Do nothing: the stem is copied at the end."""

    def abort(self) -> None:
        """Do nothing: nothing is copied yet."""

    def finish(self) -> int:
        self._file.seek(0)
        with self._into.open("wb") as out:
            shutil.copyfileobj(self._file, out)
        return self._into.stat().st_size


class _NoPreview:
    """No preview: nobody listens."""

    def grown(self, size: int, encoded: int) -> None:
        """Do nothing."""
