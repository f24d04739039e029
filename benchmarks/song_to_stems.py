"""Separate a song as the function does, without store and bus; a folder replaces the bucket."""

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
from functions.separate.song_loudness import MeasuredSamples
from functions.separate.stems import choose_stems, make_plan, separate_song
from microdemucs.options import Options
from microdemucs.peaks import PEAKS, Peaks

_LONGEST_S = 7200.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model whose engines are timed. `ready`: when it was loaded, of the monotonic clock."""

    model: Model
    usage: "Usage"
    ready: float
    precision: str


def load(models: ModelRegistry) -> Loaded:
    """Load the default model, as the function does."""
    model, usage = models.load(models.choose("")), Usage()
    precision = str(getattr(model.engines[0], "precision", "f32"))
    engines = tuple(cast(Engine, _TimedEngine(engine, usage)) for engine in model.engines)
    return Loaded(replace(model, engines=engines), usage, time.monotonic(), precision)


@dataclass(slots=True)
class Usage:
    """How long at least one engine was running (`seconds`), and how many windows all processed."""

    seconds: float = 0.0
    windows: int = 0
    _running: int = 0
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def window(self) -> Iterator[None]:
        """Count the block as one window of an engine; several may run at the same time."""
        with self._lock:
            if not self._running:
                self._since = time.monotonic()
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self.windows += 1
                if not self._running:
                    self.seconds += time.monotonic() - self._since


class _TimedEngine:
    """An engine whose time is added to `usage`."""

    def __init__(self, engine: Engine, usage: Usage) -> None:
        self._engine = engine
        self._usage = usage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def separate(self, mix: Floats) -> Floats:
        with self._usage.window():
            return self._engine.separate(mix)


def separate(path: Path, output: Path, loading: Future[Loaded]) -> dict[str, Any]:
    """Separate as functions.separate.job_runner does; return the times, in s."""
    started, cpu = time.monotonic(), _cpu()
    first_block, options = 0.0, Options()
    with (
        path.open("rb") as file,
        decode(file, _LONGEST_S, _ignore_progress) as decoded,
        MeasuredSamples(decoded.samples, decoded.length) as loudness,
    ):
        song = replace(decoded, samples=loudness)
        loaded = loading.result()
        model, usage = loaded.model, loaded.usage
        network, windows = usage.seconds, usage.windows
        stems = choose_stems(model, options)
        with open_stems(_Folder(output), stems, options, song.length) as writer:
            plan = make_plan(model, song.length, options, "")
            for block in separate_song(song, plan, _ignore_progress):
                first_block = first_block or time.monotonic()
                loudness.start()
                writer.write(block)
            writer.wait()
            writer.reencode(_ignore_progress)
            writer.finish()
            writer.finish_peaks()
            loudness.finish()
    return {
        "started": started,
        "first_block": first_block,
        "done": time.monotonic(),
        "cpu": _cpu() - cpu,
        "network": usage.seconds - network,
        "windows": usage.windows - windows,
    }


def _ignore_progress(progress: float) -> None:
    """Report nothing, and cancel nothing."""


def _cpu() -> float:
    """Return the CPU time in s of this process and its children."""
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class _Folder:
    """Writes stems into a folder: a functions.separate.output.destination.Destination."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path

    def stem_key(self, file_name: str) -> str:
        return file_name

    def upload(self, key: str, content_type: str, file: BinaryIO) -> "_FolderUpload":
        return _FolderUpload(self._path / key, file)

    def preview(self, file_name: str, file: BinaryIO) -> "_NoPreview":
        return _NoPreview()

    def write_peaks_preview(self, peaks: Peaks) -> None:
        """Nobody sees it."""

    def write_peaks(self, document: bytes) -> str:
        (self._path / PEAKS).write_bytes(document)
        return PEAKS


class _FolderUpload:
    """Copies a stem into the folder when it is finished."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    @property
    def uploaded(self) -> int:
        """Nothing, before the stem is copied at the end."""
        return 0

    def grown(self, size: int) -> None:
        """Do nothing: the stem is copied at the end."""

    def abort(self) -> None:
        """Do nothing: nothing is copied yet."""

    def finish(self) -> int:
        self._file.seek(0)
        with self._path.open("wb") as output:
            shutil.copyfileobj(self._file, output)
        return self._path.stat().st_size


class _NoPreview:
    """Writes no preview."""

    @property
    def unread(self) -> None:
        """Nothing of the file is needed."""
        return None

    def grown(self, size: int, encoded: int) -> None:
        """Do nothing."""
