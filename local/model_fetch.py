"""Fetch the model that `make run` uses, while the programs are being built. Standard library only.

The download is a process of its own (models/fetch_default.py), as it needs installed packages.
"""

import os
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from local.progress_bar import ProgressBar
from microdemucs.paths import ROOT

NOT_REPLACEABLE = 2
"""The exit status of the download if there is no other model to use."""

_POLL_S = 0.1


class ModelFetch:
    """A download that runs until the `with` block ends."""

    def __init__(self, python: Path) -> None:
        self._bar = ProgressBar("fetching the model")
        self._process = subprocess.Popen(
            [str(python), "models/fetch_default.py"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._progress: float | None = None  # None: nothing is being downloaded
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._process.kill()  # what has arrived is kept for the next one
        self._reader.join()
        self._process.communicate()

    @property
    def note(self) -> str:
        """The progress, to be shown beside that of something else; "" if nothing is fetched."""
        if self._progress is None or not self._reader.is_alive():
            return ""
        return f"(the model: {self._progress:.0%})"

    def finish(self) -> None:
        """Wait until the model is there; show a bar if it was downloaded.

        Prints why it cannot be had, or raises SystemExit if there is nothing else to use.
        """
        while self._reader.is_alive() and self._progress is None:
            self._reader.join(_POLL_S)
        try:
            if self._progress is not None:
                with self._bar as bar:
                    self._wait(bar)
            self._check()
        except _Failed as failure:
            if self._process.returncode == NOT_REPLACEABLE:
                raise SystemExit(str(failure)) from None
            print(failure, flush=True)

    def _wait(self, bar: ProgressBar) -> None:
        while self._reader.is_alive():
            bar.update(self._progress or 0.0)
            self._reader.join(_POLL_S)
        self._check()

    def _check(self) -> None:
        if self._process.wait():
            lines = self._process.stderr.read().strip().splitlines() if self._process.stderr else []
            raise _Failed(lines[-1] if lines else "the model cannot be fetched: no reason is known")

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._progress = float(line)


class _Failed(Exception):
    """The download failed. The text says why, and what to do."""
