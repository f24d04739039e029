"""All stems at once: each block of the song goes to every stem's file, side by side.

Encoders let go of the interpreter's lock, so they run beside the network. A stem's blocks keep
their order, and few wait: a network that is faster than its encoders waits for them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from functions.separate.engine import Floats
from functions.separate.output.serial_executor import SerialExecutor
from functions.separate.output.stem_writer import StemWriter
from functions.separate.stems import Stem
from microdemucs.options import Options

if TYPE_CHECKING:
    from functions.separate.output.stem_store import Document, StemStore


class StemsWriter:
    """The stems of one song. Methods raise what StemWriter's raise."""

    def __init__(
        self, stems: Sequence[Stem], files: Sequence[StemWriter], lanes: Sequence[SerialExecutor]
    ):
        self._stems = stems
        self._files = files
        self._lanes = lanes

    @property
    def loud(self) -> list[StemWriter]:
        """The stems that must be encoded again, as far as it is known yet."""
        return [file for file in self._files if file.is_loud]

    def write(self, block: Floats) -> None:
        """[sources, 2, n] more of the song. `block` is kept for a while."""
        for stem, file, lane in zip(self._stems, self._files, self._lanes, strict=True):
            lane.do(file.write, reduce(np.add, (block[i] for i in stem.sources)))

    def wait(self) -> None:
        """Until all that was given is encoded."""
        for lane in self._lanes:
            lane.wait()

    def finish_loud(self, step: Callable[[float], None]) -> None:
        """Encode again what must be. `step(share)` is called now and then."""
        loud = self.loud
        shares = [0.0] * len(loud)

        def one(index: int) -> None:
            def check(share: float) -> None:
                shares[index] = share
                step(sum(shares) / len(shares))

            loud[index].write_again(check)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(one, range(len(loud))):
                """Raise what one of them raised."""

    def finish(self) -> "list[Document]":
        """Make the objects be there; what the manifest says of them."""
        with ThreadPoolExecutor(len(self._files)) as pool:
            return list(pool.map(StemWriter.finish, self._files))


@contextmanager
def writing(
    shelf: "StemStore",
    stems: Sequence[Stem],
    options: Options,
    length: int,
    mp3_quality: int | None = None,
) -> Iterator[StemsWriter]:
    """Write `stems` of a song of `length` samples, for as long as the context lasts.

    What is not finished then is as if it had never been. Raises Rejected where the format cannot
    hold so long a song.
    """
    # with so many bits LAME's fast way errs no more than its slow ones (docs/benchmarks.md)
    fast_enough = 7 if options.bitrate >= 256 else 5
    quality = fast_enough if mp3_quality is None else mp3_quality
    with ExitStack() as opened:
        files = [
            opened.enter_context(closing(StemWriter(shelf, stem.name, options, length, quality)))
            for stem in stems
        ]
        lanes = [opened.enter_context(SerialExecutor()) for _ in stems]
        yield StemsWriter(stems, files, lanes)
