"""Decode a song in a child process, as its samples are read.

The child decodes the whole song once before it writes any sample, so the song's length and level
are known from the start. Neither process holds the song in memory.
"""

import base64
import binascii
import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

import msgspec

from functions.separate.audio.decoder_report import NO_SANDBOX, DecoderReport, DecoderTask
from functions.separate.audio.normalization import Normalization
from functions.separate.audio.reader import LengthMismatch, Reader, Samples
from functions.separate.audio.tag_encoding import decode_tags
from functions.separate.engine import SAMPLE_RATE
from functions.separate.on_progress import OnProgress
from microdemucs.audio_facts import AudioFacts
from microdemucs.covers import is_cover
from microdemucs.paths import ROOT
from microdemucs.problems import Problem, Rejected, RetryLater

_MEMORY_BYTES = 2 * 1024**3  # of address space, most of it libraries
_PIPE_BYTES = 1 << 20  # how far the child may be ahead, some 3 s
_MAX_REPORT_BYTES = 1 << 20  # of JSON; most of it is the cover
_POLL_MS = 100
_END_S = 30  # a child that takes longer to end is killed
# Durations are rounded, and encoders declare their padding
_TOLERANCE_S, _TOLERANCE_SAMPLES = 0.25, 4_000
_MAX_MISSING_SHARE = 0.05  # a scratch; with more missing it is not the same song
_MAX_MISSING_S = 0.1  # a few packets, which a very short song may miss too
_MAX_MISSING_AT_CUT_S = 1.0  # the packets at which an incomplete file is cut


@dataclass(frozen=True, slots=True)
class DecodedSong:
    """A song that can be read once, from sample `start` to its end.

    `samples` is interleaved float32 stereo at 44.1 kHz. `cover` is a JPEG or PNG, or empty.
    """

    samples: Samples
    audio: AudioFacts
    start: int = 0
    cover: bytes = b""

    @property
    def length(self) -> int:
        """The length in samples."""
        return self.audio.length

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.length / SAMPLE_RATE

    @property
    def normalization(self) -> Normalization:
        """How the song is normalized before it is separated."""
        return Normalization(self.audio.mean, self.audio.standard_deviation)

    @property
    def warnings(self) -> list[str]:
        """What the song's owner should know about it."""
        return [*self.audio.warnings, *filter(None, [_incompleteness(self.audio)])]

    def normalized(self, history: int) -> Reader:
        """Return a reader of the normalized song that can go `history` samples back."""
        return Reader(self.samples, self.length, self.normalization, history, self.start)


@contextmanager
def decode(
    source: BinaryIO,
    max_seconds: float,
    on_progress: OnProgress,
    *,
    front_only: bool = False,
    allow_truncated: bool = False,
) -> Iterator[DecodedSong]:
    """Decode `source`, which must be a real file: the child reads it by its descriptor.

    The song can be read while the context is open; the child ends with it. Until the song's facts
    are known, `on_progress(0.0)` is called several times a second. More than two channels are mixed
    down unless `front_only`. An incomplete song is rejected unless `allow_truncated`.

    Raises Rejected (empty, not-audio, too-long, corrupt, truncated) and RetryLater. Inside the
    context, reading raises Rejected (corrupt) or RetryLater if the file changes or the child dies.
    """
    if os.fstat(source.fileno()).st_size == 0:
        raise Rejected("empty", _TITLES["empty"], "it has 0 bytes")
    reading_end, writing_end = os.pipe()
    with os.fdopen(reading_end, "rb", buffering=0) as report_pipe, ExitStack() as stack:
        try:
            child = stack.enter_context(
                _start_child(source, _task(max_seconds, front_only, report_fd=writing_end))
            )
        finally:
            os.close(writing_end)
        text = _read_report(report_pipe, on_progress)
        report_pipe.close()  # a child that still reports ends now
        report = _parse_report(text, max_seconds)
        if report and report.rejection:
            kind = report.rejection.kind
            raise Rejected(kind, _TITLES[kind], report.rejection.detail)
        if not report or not report.audio:
            raise _problem_of(child)
        audio = replace(report.audio, tags=decode_tags(report.audio.tags))
        _ensure_usable(audio, allow_truncated)
        assert child.stdout
        yield DecodedSong(child.stdout, audio, cover=base64.b64decode(report.cover_base64))


@contextmanager
def decode_from(
    source: BinaryIO, max_seconds: float, audio: AudioFacts, start: int, *, front_only: bool = False
) -> Iterator[DecodedSong]:
    """Decode a song whose facts are known, from sample `start` on.

    Reading raises as in `decode`.
    """
    task = _task(max_seconds, front_only, start=start, is_clipped=audio.is_clipped)
    with _start_child(source, task) as child:
        assert child.stdout
        yield DecodedSong(child.stdout, audio, start)


def _task(
    max_seconds: float,
    front_only: bool,
    *,
    report_fd: int | None = None,
    start: int = 0,
    is_clipped: bool = False,
) -> DecoderTask:
    return DecoderTask(
        max_seconds=max_seconds,
        max_memory_bytes=_MEMORY_BYTES,
        front_only=front_only,
        report_fd=report_fd,
        start=start,
        is_clipped=is_clipped,
    )


@contextmanager
def _start_child(source: BinaryIO, task: DecoderTask) -> Iterator[subprocess.Popen[bytes]]:
    # without Python's `site`, which takes 8 ms: the packages are where this process finds them
    command = [sys.executable, "-S", "-m", "functions.separate.audio.start_decoder"]
    packages = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [*command, msgspec.json.encode(task).decode()],
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the author of the file can choose what FFmpeg writes there
        pass_fds=[] if task.report_fd is None else [task.report_fd],
        cwd=ROOT,
        env={"OPENBLAS_NUM_THREADS": "1", "LANG": "C.UTF-8", "PYTHONPATH": packages},
    ) as child:
        assert child.stdout
        with suppress(OSError):  # the machine allows no larger pipe: decoding is only slower
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            yield child
        except LengthMismatch as error:
            raise _problem_of(child) from error
        finally:
            child.kill()


def _read_report(pipe: BinaryIO, on_progress: OnProgress) -> bytes:
    """Return what the child writes; b"" if it dies before it writes, or writes too much."""
    report = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        on_progress(0.0)
        if poll.poll(_POLL_MS):
            data = pipe.read(select.PIPE_BUF)
            if not data:
                return report
            report += data
            if len(report) > _MAX_REPORT_BYTES:
                return b""


def _parse_report(text: bytes, max_seconds: float) -> DecoderReport | None:
    """Return the report; None if it cannot be true, as a file may have taken over the child."""
    try:
        report: DecoderReport = msgspec.json.decode(text, type=DecoderReport)
        cover = base64.b64decode(report.cover_base64, validate=True)
    except (msgspec.DecodeError, binascii.Error):
        return None
    audio, rejection = report.audio, report.rejection
    if rejection:
        return report if rejection.kind in _TITLES else None
    is_believable = (
        audio is not None
        and 0 <= audio.length <= (max_seconds + 1) * SAMPLE_RATE
        and audio.standard_deviation >= 0
        and (not cover or is_cover(cover))
    )
    return report if is_believable else None


def _problem_of(child: subprocess.Popen[bytes]) -> Problem:
    """Return why the child wrote no report, or fewer or more samples than it announced."""
    assert child.stdout
    child.stdout.close()  # a child that still writes ends now
    with suppress(subprocess.TimeoutExpired):
        child.wait(_END_S)
    code = child.returncode
    if code == -signal.SIGKILL:
        return RetryLater("no-memory", "There is not enough memory to decode the song", after=30)
    if code == NO_SANDBOX:
        return RetryLater(
            "no-sandbox", "The decoder cannot be locked in", "the kernel refuses its seccomp filter"
        )
    detail = "decoding it fails in a way that no intact file does"
    if code == -signal.SIGXCPU:
        detail = "decoding it takes too long"
    return Rejected("corrupt", _TITLES["corrupt"], detail)


_TITLES = {
    "empty": "The song is empty",
    "not-audio": "The object is not a song",
    "too-long": "The song is too long",
    "corrupt": "The song cannot be decoded",
    "truncated": "The song is not complete",
}


def _ensure_usable(audio: AudioFacts, allow_truncated: bool) -> None:
    """Raise Rejected if the audio is empty, damaged, or incomplete."""
    missing, seconds = audio.missing_seconds, audio.seconds
    incompleteness = _incompleteness(audio)
    if not audio.length and (missing or incompleteness):
        raise Rejected("corrupt", _TITLES["corrupt"], "none of it can be decoded")
    if not audio.length:
        raise Rejected("empty", _TITLES["empty"], "it holds no samples")
    tolerated = _MAX_MISSING_AT_CUT_S if incompleteness else _MAX_MISSING_S
    if missing > max(tolerated, _MAX_MISSING_SHARE * (seconds + missing)):
        raise Rejected(
            "corrupt",
            _TITLES["corrupt"],
            f"{missing:.2f} s of {seconds + missing:.2f} s are damaged",
        )
    if incompleteness and not allow_truncated:
        raise Rejected(
            "truncated",
            _TITLES["truncated"],
            f"{incompleteness}; to separate what is there, set the option allow_truncated",
        )


def _incompleteness(audio: AudioFacts) -> str:
    declared, seconds = audio.declared_seconds, audio.seconds
    tolerance = max(_TOLERANCE_S, _TOLERANCE_SAMPLES / max(1, audio.sample_rate))
    if declared and seconds + audio.missing_seconds < declared - tolerance:
        return f"it ends after {seconds:.1f} s of {declared:.1f} s"
    if audio.ends_early:
        return f"the file cannot be read after {seconds:.1f} s"
    return ""
