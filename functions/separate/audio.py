"""From a song's bytes to samples: decode once, in a child process, to a spool on disk.

The same pass takes what the separation must know of the whole song: its length, and the mean and
deviation by which demucs normalises (demucs.api.Separator.separate_tensor).
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from functions.separate.engine import SAMPLE_RATE, Floats
from functions.separate.spool import Spool
from microdemucs.problems import Later, Refused

_ROOT = Path(__file__).parent.parent.parent
_MEMORY = 2 * 1024**3  # bytes of address space, most of it libraries
_BLOCK = 1 << 20
# A length may be rounded, and encoders declare their padding.
_SLACK_S = 0.25
# One bad packet in twenty is a scratch; more is another song than the one that was meant.
_BAD_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Song:
    """A decoded song. `mean` and `deviation` are those of the two channels' mean."""

    samples: Spool
    mean: float
    deviation: float
    heard: dict[str, Any]

    @property
    def length(self) -> int:
        """In samples."""
        return self.samples.length

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.length / SAMPLE_RATE

    @property
    def warnings(self) -> list[str]:
        """What its owner should know of it."""
        bad, packets = self.heard["bad"], self.heard["packets"]
        return [f"{bad} of {packets} packets could not be decoded"] if bad else []

    def normalised(self, start: int, stop: int) -> Floats:
        """[2, stop - start] as the networks want it; 0 outside of the song."""
        block = self.samples.read(start, stop)
        first, last = max(0, -start), max(0, min(stop, self.length) - start)
        inside = block[:, first:last]
        inside -= np.float32(self.mean)
        inside /= np.float32(self.deviation)
        return block

    def restored(self, estimate: Floats) -> Floats:
        """An estimate [..., n] at the song's own level, in place."""
        estimate *= np.float32(self.deviation)
        estimate += np.float32(self.mean)
        return estimate


def decode(source: BinaryIO, max_seconds: float, check: Callable[[float], None]) -> Song:
    """Decode the file `source` (a real one: the child reads it by its descriptor).

    `check(0.0)` is called with every block; what it raises ends the work. Raises Refused
    (not-audio, empty, too-long, corrupt, truncated) and Later.
    """
    if os.fstat(source.fileno()).st_size == 0:
        raise Refused("empty", "The song is empty", "it has 0 bytes")
    samples, level = Spool(), _Level()
    try:
        heard = _decode(source, max_seconds, samples, check, level)
        _judge(heard, samples.length)
    except BaseException:
        samples.close()
        raise
    return Song(samples, level.mean, level.deviation + 1e-8, heard)


def _decode(
    source: BinaryIO,
    max_seconds: float,
    samples: Spool,
    check: Callable[[float], None],
    level: "_Level",
) -> dict[str, Any]:
    verdict, told = os.pipe()
    command = [sys.executable, "-m", "functions.separate.decoding"]
    child = subprocess.Popen(
        [*command, str(max_seconds), str(_MEMORY), str(told)],
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what FFmpeg says there, the song's maker can choose
        pass_fds=[told],
        cwd=_ROOT,
        env={"OPENBLAS_NUM_THREADS": "1", "LANG": "C.UTF-8"},
    )
    os.close(told)
    try:
        with os.fdopen(verdict) as answer, child:
            assert child.stdout
            while data := child.stdout.read(_BLOCK):
                check(0.0)
                samples.append_bytes(data)
                level.add(np.frombuffer(data, "<f4").reshape(-1, 2))
            said = answer.read()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if said and child.returncode == 0:
        heard: dict[str, Any] = json.loads(said)
        return heard
    if child.returncode == -signal.SIGKILL:
        raise Later("no-memory", "The machine had no memory to decode the song", after=30)
    raise Refused(
        "corrupt",
        "The song cannot be decoded",
        "decoding it takes too long"
        if child.returncode == -signal.SIGXCPU
        else "decoding it fails in a way that no intact file does",
    )


_TITLES = {
    "not-audio": "The object is not a song",
    "too-long": "The song is too long",
    "corrupt": "The song cannot be decoded",
    "truncated": "The song is not complete",
}


def _judge(heard: dict[str, Any], length: int) -> None:
    if "refused" in heard:
        raise Refused(heard["refused"], _TITLES[heard["refused"]], heard["detail"])
    bad, packets = heard["bad"], heard["packets"]
    if not length and bad:
        raise Refused("corrupt", _TITLES["corrupt"], "none of it can be decoded")
    if bad > max(1, _BAD_SHARE * packets):
        raise Refused("corrupt", _TITLES["corrupt"], f"{bad} of {packets} packets are damaged")
    declared, seconds = heard["declared"], heard["seconds"]
    if declared and seconds < declared - _SLACK_S:
        raise Refused(
            "truncated", _TITLES["truncated"], f"it ends after {seconds:.1f} s of {declared:.1f} s"
        )
    if not length:
        raise Refused("empty", "The song is empty", "it holds no samples")


class _Level:
    """Mean and deviation of the channels' mean, block by block (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, samples: Floats) -> None:
        """[n, 2] more."""
        mono = samples.mean(axis=1, dtype=np.float64)
        mean = float(mono.mean())
        n = self.n + len(mono)
        apart = mean - self.mean
        self._squares += float(((mono - mean) ** 2).sum()) + apart**2 * self.n * len(mono) / n
        self.mean += apart * len(mono) / n
        self.n = n

    @property
    def deviation(self) -> float:
        """Of a sample (n - 1), as torch.std; 0 for a single one."""
        return math.sqrt(self._squares / (self.n - 1)) if self.n > 1 else 0.0
