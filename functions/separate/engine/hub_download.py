"""Download the files of a model into its folder: all or none, each with the right checksum.

Files that are not complete are in `.fetching/<name>/` beside the folder, each named for the digest
of its content. If a process ends, the next one continues them. (huggingface_hub's own downloads
begin anew.)
"""

import fcntl
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from functions.separate.engine.hub import CannotFetch, HubUnreachable
from functions.separate.engine.remote_file import RemoteFile
from microdemucs.models.ensemble import WEIGHT_SUFFIXES

_STAGING = ".fetching"
_ATTEMPTS = 5
_PAUSE_S = 1.0


class Staging:
    """The incomplete files of the model in `folder`. Its methods raise CannotFetch and OSError."""

    def __init__(self, folder: Path) -> None:
        self._model = folder
        self._folder = folder.parent / _STAGING / folder.name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time download this model."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._folder.with_name(f"{self._folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._folder.mkdir(exist_ok=True)  # the process before may have moved it
            yield

    @property
    def is_done(self) -> bool:
        """Whether the model's folder has its weights."""
        return any(file.suffix in WEIGHT_SUFFIXES for file in self._model.glob("*"))

    def read(self, file: RemoteFile) -> bytes:
        """Download a small file and return its content."""
        self._receive(file, lambda: None)
        return self._partial(file).read_bytes()

    def receive(self, files: Sequence[RemoteFile], report: Callable[[float], None]) -> None:
        """Download these files. `report` is called with the progress, from 0 to 1."""
        total = sum(file.size or 0 for file in files)

        def report_all() -> None:
            if total:
                report(min(1.0, sum(map(self._received, files)) / total))

        for file in files:
            self._receive(file, report_all)

    def move(self, files: Sequence[RemoteFile], written: Mapping[str, str] | None = None) -> None:
        """Make complete files, and the texts in `written`, the model's folder.

        What the folder has already stays; incomplete files of other commits go.
        """
        for file in files:
            self._partial(file).rename(self._folder / file.name)
        for name, text in (written or {}).items():
            (self._folder / name).write_text(text)
        names = {*(written or {}), *(file.name for file in files)}
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in names:
                path.unlink()
        if self._model.exists():
            for path in self._model.iterdir():
                if path.name in names:
                    path.unlink()
                else:
                    path.rename(self._folder / path.name)
            self._model.rmdir()
        self._folder.rename(self._model)

    def _partial(self, file: RemoteFile) -> Path:
        return self._folder / f"{file.name}.{re.sub(r'[^0-9A-Za-z]', '', file.digest)[:64]}"

    def _received(self, file: RemoteFile) -> int:
        """Return how many bytes of a file are on disk."""
        partial = self._partial(file)
        return partial.stat().st_size if partial.exists() else 0

    def _receive(self, file: RemoteFile, report: Callable[[], None]) -> None:
        """Download a file, or the rest of it, and check it."""
        was_continued = self._received(file) > 0
        self._complete(file, report)
        damage = self._damage(file)
        if damage and was_continued:  # perhaps by what was there before
            self._partial(file).unlink()
            self._complete(file, report)
            damage = self._damage(file)
        if damage:
            self._partial(file).unlink()
            raise CannotFetch(
                f"{file.name} arrived damaged from {file.source}: {damage}; try again"
            )

    def _complete(self, file: RemoteFile, report: Callable[[], None]) -> None:
        failures = 0
        while file.size is None or self._received(file) < file.size:
            before = self._received(file)
            reason = self._receive_more(file, report)
            if not reason and (file.size is None or self._received(file) >= file.size):
                break
            failures = 0 if self._received(file) > before else failures + 1
            if failures == _ATTEMPTS:
                raise HubUnreachable(
                    f"the download of {file.name} was cut off ({reason or 'it ended early'}); "
                    "the next attempt continues it"
                )
            time.sleep(_PAUSE_S)

    def _receive_more(self, file: RemoteFile, report: Callable[[], None]) -> str:
        """Append what the server sends; return why it ended too early, or ""."""
        # without a size nobody can tell whether a file is complete
        start = 0 if file.size is None else self._received(file)
        try:
            with file.open(start) as (position, chunks), self._partial(file).open("ab") as partial:
                partial.truncate(position)
                for chunk in chunks:
                    partial.write(chunk)
                    partial.flush()
                    report()
        except HubUnreachable as error:
            return str(error)
        return ""

    def _damage(self, file: RemoteFile) -> str:
        """Return how the file differs from what the server says about it, or ""."""
        received = self._received(file)
        if file.size not in (None, received):
            return f"it has {received} bytes, not {file.size}"
        computed = _digest_like(file.digest, self._partial(file))
        if not computed.startswith(file.digest):
            return f"its checksum is {computed[:16]}, not {file.digest[:16]}"
        return ""


def _digest_like(expected: str, file: Path) -> str:
    """Return the digest of a file, of the kind of `expected`.

    Large files of the hub have a SHA-256, small ones git's SHA-1, demucs' pickles the beginning of
    a SHA-256. An ETag of another kind is returned as it is.
    """
    if re.fullmatch(r"[0-9a-f]{40}", expected):
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    elif re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", expected):
        digest = hashlib.sha256()
    else:
        return expected
    with file.open("rb") as content:
        while chunk := content.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
