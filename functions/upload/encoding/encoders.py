"""Encode stems into one file, in child processes of which few run at a time.

The file is temporary and has no name. It grows as fast as it can be encoded, while it is sent as
fast as the client reads it: so a slow client does not keep others from encoding.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from functions.upload.encoding.task import DISK_FULL, Gains, Output, Source, Task
from functions.upload.stored_stem import StoredStem
from functions.upload.upload_space import UploadSpace
from microdemucs.audio_tags import NO_TAGS, AudioTags
from microdemucs.bucket import Bucket
from microdemucs.paths import ROOT
from microdemucs.problems import Problem, RetryLater
from microdemucs.store import ObjectChanged

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 16
_LOOK_S = 0.1  # how often a file that grows is read again
_BYTES_PER_SECOND = {Output.MP3: 40_000, Output.STEM_FILE: 5 * 32_000}
_HEADER_BYTES = 1 << 20  # with the cover
_CPU_SECONDS = 60
_LONGEST_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Order:
    """What to encode: stems and their gains. The song has `seconds`.

    `tracks`, for a stem.mp4, are the names of the stems' tracks, in their order.
    """

    output: Output
    stems: Sequence[StoredStem]
    gains: Sequence[Gains]
    seconds: float
    bits: int = 16
    tags: AudioTags = NO_TAGS
    tracks: Sequence[str] = ()


class Encoders:
    """At most `limit` child processes. `space` is the disk space that their files share."""

    def __init__(self, limit: int, space: UploadSpace) -> None:
        self.limit = limit
        self._space = space
        self._free = threading.Semaphore(limit)

    def start(self, bucket: Bucket, order: Order) -> "Encoding":
        """Start a child process. Raises RetryLater if all are busy, or without disk space."""
        max_bytes = _largest(order)
        if not self._free.acquire(blocking=False):
            raise RetryLater(
                "too-many-mixes",
                "Too many mixes are being made",
                f"{self.limit} can be made at the same time (MIXES): try again later",
                after=10,
            )
        with ExitStack() as stack:
            stack.callback(self._free.release)
            self._space.take(max_bytes)
            stack.callback(self._space.give_back, max_bytes)
            encoding = Encoding(bucket, order, max_bytes, self._free, self._space)
            stack.pop_all()  # from now on the encoding gives both back
        return encoding


class Encoding:
    """A file that is being encoded. `close` must be called."""

    def __init__(
        self,
        bucket: Bucket,
        order: Order,
        max_bytes: int,
        slot: threading.Semaphore,
        space: UploadSpace,
    ) -> None:
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._space = space
        self._error: RetryLater | None = None
        self._supervisor: threading.Thread | None = None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (`close` closes it)
        try:
            self._begin(order, slot)
        except BaseException:
            self._file.close()
            raise

    @property
    def is_running(self) -> bool:
        """Whether the file still grows."""
        return self._supervisor is not None and self._supervisor.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait until the file is complete, but not longer; return whether it is.

        Raises Problem if a stem cannot be read.
        """
        assert self._supervisor
        self._supervisor.join(seconds)
        if self.is_running:
            return False
        self._ensure_complete()
        return True

    @property
    def size(self) -> int:
        """How many bytes the file has now."""
        return os.fstat(self._file.fileno()).st_size

    def chunks(self, check: Callable[[], None] = lambda: None) -> Iterator[bytes]:
        """Yield the file from its beginning as it grows. Raises Problem if it does not end well.

        While there is nothing to yield, `check` is called again and again: it may raise an error.
        """
        position = 0
        while True:
            is_last = not self.is_running
            data = os.pread(self._file.fileno(), _CHUNK_BYTES, position)
            position += len(data)
            if data:
                yield data
            elif is_last:
                self._ensure_complete()
                return
            elif self._supervisor:
                check()
                self._supervisor.join(_LOOK_S)

    def close(self) -> None:
        """End the process, and free the file."""
        if self._supervisor:
            self._process.kill()
            self._supervisor.join()
        self._file.close()
        self._space.give_back(self._max_bytes)

    def _begin(self, order: Order, slot: threading.Semaphore) -> None:
        pipes = [os.pipe() for _ in order.stems]
        try:
            self._process = self._start(order, [read_end for read_end, _ in pipes])
        except BaseException:
            for _, write_end in pipes:
                os.close(write_end)
            raise
        finally:
            for read_end, _ in pipes:
                os.close(read_end)
        feeders = [
            threading.Thread(target=self._feed, args=(stem, write_end))
            for stem, (_, write_end) in zip(order.stems, pipes, strict=True)
        ]
        self._supervisor = threading.Thread(target=self._supervise, args=(feeders, slot))
        self._supervisor.start()

    def _start(self, order: Order, fds: Sequence[int]) -> "subprocess.Popen[bytes]":
        tracks = order.tracks or [""] * len(order.stems)
        task = Task(
            order.output,
            [
                Source(track, fd, stem.entry.file.rpartition(".")[2], gains)
                for track, stem, fd, gains in zip(
                    tracks, order.stems, fds, order.gains, strict=True
                )
            ],
            order.bits,
            order.tags,
            _CPU_SECONDS + int(_seconds(order)),
            self._max_bytes,
        )
        # With a cover the task is too long for an argument, and in memory no disk can be full.
        with open(os.memfd_create("task"), "w+b") as input_:
            input_.write(msgspec.json.encode(task))
            input_.seek(0)
            return subprocess.Popen(
                [sys.executable, "-S", "-m", "functions.upload.encoding.encoder_process"],
                stdin=input_,
                stdout=self._file,
                stderr=subprocess.DEVNULL,  # who wrote the object could choose FFmpeg's words
                pass_fds=fds,
                cwd=ROOT,
                env={"LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join(sys.path)},  # no secrets
            )

    def _feed(self, stem: StoredStem, fd: int) -> None:
        """Copy a stem from the store to the process; end the process if that fails."""
        try:
            with (
                open(fd, "wb") as pipe,
                self._bucket.download(stem.entry.key, etag=stem.etag) as download,
            ):
                for data in download.chunks():
                    pipe.write(data)
        except BrokenPipeError:
            pass  # the process has ended
        except ObjectChanged:
            self._fail(RetryLater("changed", "A stem has just changed", "try again", after=1))
        except RetryLater as error:
            self._fail(error)

    def _fail(self, error: RetryLater) -> None:
        self._error = error
        self._process.kill()

    def _supervise(self, feeders: Sequence[threading.Thread], slot: threading.Semaphore) -> None:
        for feeder in feeders:
            feeder.start()
        self._process.wait()
        slot.release()
        for feeder in feeders:
            feeder.join()

    def _ensure_complete(self) -> None:
        code = self._process.returncode
        if self._error:
            raise self._error
        if code == DISK_FULL:
            raise RetryLater("no-room", "There is no disk space for the mix", after=30)
        if code == -signal.SIGKILL:
            raise RetryLater("no-memory", "There is not enough memory for the mix", after=30)
        if code:
            log.warning("stems not encoded", extra={"reason": f"exit code {code}"})
            raise Problem(
                409,
                "unreadable-stem",
                "A stem cannot be decoded",
                "an object in the store is not the stem that it should be; remove the stems and "
                "separate the song again",
            )


def _seconds(order: Order) -> float:
    return min(max(0.0, order.seconds), _LONGEST_S)


def _largest(order: Order) -> int:
    """Return the most bytes that the file may have."""
    uncompressed = 44_100 * 2 * order.bits // 8 * 11 // 10
    rate = _BYTES_PER_SECOND.get(order.output, uncompressed)
    return _HEADER_BYTES + int((_seconds(order) + 1) * rate * 1.05)
