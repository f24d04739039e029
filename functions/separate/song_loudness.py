"""Measure a song's loudness beside its separation, as its samples are read."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from functions.separate.audio.reader import Samples
from functions.separate.output.serial_executor import SerialExecutor

if TYPE_CHECKING:
    from functions.separate.audio.loudness_meter import LoudnessMeter

log = logging.getLogger(__name__)

_SAMPLE_BYTES = 2 * 4  # two channels of float32
_READ_BYTES = 1 << 20


class MeasuredSamples:
    """The samples of a song, which a thread measures as they are read.

    Someone waits for the first block of the song, so nothing is measured before `start`: until
    then, what is read is kept. A song that cannot be measured has no loudness.
    """

    def __init__(self, samples: Samples, length: int) -> None:
        self._samples = samples
        self._missing = length * _SAMPLE_BYTES
        self._kept: list[bytes] | None = []
        self._thread = SerialExecutor()
        self._meter: LoudnessMeter | None = None
        self._has_failed = False
        self._closed = threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, fewer at the end; all that is left if `size` is -1."""
        data = self._samples.read(size)
        if self._kept is None:
            self._thread.submit(self._measure, [data])
        else:
            self._kept.append(data)
        return data

    def start(self) -> None:
        """Begin to measure what was read, and is read from now on."""
        if self._kept:
            self._thread.submit(self._measure, self._kept)
        self._kept = None

    def read_all(self) -> None:
        """Read and measure all samples in the thread: nobody else reads them."""
        self.start()
        self._thread.submit(self._measure, iter(lambda: self._samples.read(_READ_BYTES), b""))

    def finish(self) -> float | None:
        """Return the song's integrated loudness in LUFS, once all samples have been read.

        None if it is silent, shorter than 0.4 s, or not measured to its end, also since FFmpeg
        failed.
        """
        self.start()
        self._thread.wait()
        loudness = None
        if self._meter and not self._missing:
            with self._without_loudness_on_error():
                loudness = self._meter.end()
        return None if loudness is None or self._has_failed else round(loudness, 1)

    def _measure(self, blocks: Iterable[bytes]) -> None:
        # importing FFmpeg takes 50 ms, which nobody waits for here
        from functions.separate.audio.loudness_meter import LoudnessMeter

        with self._without_loudness_on_error():
            self._meter = self._meter or LoudnessMeter()
            for data in blocks:
                if self._closed.is_set() or self._has_failed:
                    return
                self._missing -= len(data)
                self._meter.add(data)

    @contextmanager
    def _without_loudness_on_error(self) -> Iterator[None]:
        from av.error import FFmpegError

        try:
            yield
        except FFmpegError as error:
            self._has_failed = True
            log.warning("loudness not measured", extra={"reason": str(error)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.__exit__(kind, error, trace)
