"""From a song's bytes to samples: decoded in a child process, as they are wanted.

The child looks at the whole song first, so that its length and the level by which demucs
normalises are known before the first sample comes. Nothing holds the song.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

import numpy as np

from functions.separate.audio.reader import LengthMismatch, Reader
from functions.separate.engine import SAMPLE_RATE, Floats
from microdemucs.paths import ROOT
from microdemucs.problems import Problem, Rejected, RetryLater

_MEMORY = 2 * 1024**3  # bytes of address space, most of it libraries
_PIPE = 1 << 20  # bytes: what the child may have ready, some 3 s
_LISTEN_MS = 100
# A length may be rounded, and encoders declare their padding.
_SLACK_S = 0.25
# One bad packet in twenty is a scratch; more is another song than the one that was meant.
_BAD_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class DecodedSong:
    """A song that can be read once, from sample `start` to its end.

    `heard` is what functions.separate.audio.decoder_process tells of it.
    """

    samples: IO[bytes]
    heard: dict[str, Any]
    start: int = 0

    @property
    def length(self) -> int:
        """In samples."""
        return int(self.heard["length"])

    @property
    def mean(self) -> float:
        """Of the two channels' mean."""
        return float(self.heard["mean"])

    @property
    def deviation(self) -> float:
        """Of the two channels' mean; never 0."""
        return float(self.heard["deviation"]) + 1e-8

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.length / SAMPLE_RATE

    @property
    def warnings(self) -> list[str]:
        """What its owner should know of it."""
        bad, packets = self.heard["bad"], self.heard["packets"]
        return [f"{bad} of {packets} packets could not be decoded"] if bad else []

    def normalised(self, history: int) -> Reader:
        """The song as the networks want it. The reader can go `history` samples back."""
        level = self.mean, self.deviation
        return Reader(self.samples, self.length, *level, history, self.start)

    def restored(self, estimate: Floats) -> Floats:
        """An estimate [..., n] at the song's own level, in place."""
        estimate *= np.float32(self.deviation)
        estimate += np.float32(self.mean)
        return estimate


@contextmanager
def decoded(
    source: BinaryIO, max_seconds: float, check: Callable[[float], None]
) -> Iterator[DecodedSong]:
    """Look at the file `source` (a real one: the child reads it by its descriptor).

    The song can be read for as long as the context lasts; the child ends with it. `check(0.0)` is
    called some times a second until the song is known; what it raises ends the work. Raises
    Rejected (not-audio, empty, too-long, corrupt, truncated) and RetryLater: corrupt and RetryLater in the
    context too, where the song is not what it was at first.
    """
    if os.fstat(source.fileno()).st_size == 0:
        raise Rejected("empty", "The song is empty", "it has 0 bytes")
    verdict, told = os.pipe()
    with os.fdopen(verdict, "rb", buffering=0) as listening, ExitStack() as opened:
        try:
            starting = _child(source, max_seconds, str(told), keep=[told])
            child = opened.enter_context(starting)
        finally:
            os.close(told)
        said = _said(listening, check)
        if not said:
            raise _failure(child)
        heard = json.loads(said)
        _judge(heard)
        yield _song(child, heard, 0)


@contextmanager
def continued(
    source: BinaryIO, max_seconds: float, heard: dict[str, Any], start: int
) -> Iterator[DecodedSong]:
    """The same for a song of which all is known: `heard`, from sample `start` on."""
    with _child(source, max_seconds, "--from", str(start)) as child:
        yield _song(child, heard, start)


def _song(child: subprocess.Popen[bytes], heard: dict[str, Any], start: int) -> DecodedSong:
    assert child.stdout
    return DecodedSong(child.stdout, heard, start)


@contextmanager
def _child(
    source: BinaryIO, max_seconds: float, *how: str, keep: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "functions.separate.audio.decoder_process",
        str(max_seconds),
        str(_MEMORY),
    ]
    with subprocess.Popen(
        [*command, *how],
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what FFmpeg says there, the song's maker can choose
        pass_fds=keep,
        cwd=ROOT,
        env={"OPENBLAS_NUM_THREADS": "1", "LANG": "C.UTF-8"},
    ) as child:
        assert child.stdout
        with suppress(OSError):  # the machine allows no more: it is only slower
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            yield child
        except LengthMismatch as torn:
            raise _failure(child) from torn
        finally:
            child.kill()


def _said(verdict: BinaryIO, check: Callable[[float], None]) -> bytes:
    said = b""
    ready = select.poll()
    ready.register(verdict, select.POLLIN)
    while True:
        check(0.0)
        if ready.poll(_LISTEN_MS):
            more = verdict.read(select.PIPE_BUF)
            if not more:
                return said
            said += more


def _failure(child: subprocess.Popen[bytes]) -> Problem:
    """Why the child ended before it had given all, or gave more."""
    assert child.stdout
    child.stdout.close()  # where it had more to give, it ends now
    code = child.wait()
    if code == -signal.SIGKILL:
        return RetryLater("no-memory", "The machine had no memory to decode the song", after=30)
    why = "decoding it fails in a way that no intact file does"
    if code == -signal.SIGXCPU:
        why = "decoding it takes too long"
    return Rejected("corrupt", _TITLES["corrupt"], why)


_TITLES = {
    "not-audio": "The object is not a song",
    "too-long": "The song is too long",
    "corrupt": "The song cannot be decoded",
    "truncated": "The song is not complete",
}


def _judge(heard: dict[str, Any]) -> None:
    if "refused" in heard:
        raise Rejected(heard["refused"], _TITLES[heard["refused"]], heard["detail"])
    length, bad, packets = heard["length"], heard["bad"], heard["packets"]
    if not length and bad:
        raise Rejected("corrupt", _TITLES["corrupt"], "none of it can be decoded")
    if bad > max(1, _BAD_SHARE * packets):
        raise Rejected("corrupt", _TITLES["corrupt"], f"{bad} of {packets} packets are damaged")
    declared, seconds = heard["declared"], heard["seconds"]
    if declared and seconds < declared - _SLACK_S:
        raise Rejected(
            "truncated", _TITLES["truncated"], f"it ends after {seconds:.1f} s of {declared:.1f} s"
        )
    if not length:
        raise Rejected("empty", "The song is empty", "it holds no samples")
