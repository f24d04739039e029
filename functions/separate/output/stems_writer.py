"""Write all stems of a song side by side.

Encoders release the interpreter's lock, so they run beside the network. Each stem has a thread of
its own in which its blocks keep their order. A network that is faster than the encoders waits.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import reduce

import numpy as np

from functions.separate.engine import Floats
from functions.separate.on_progress import OnProgress
from functions.separate.output.destination import Destination
from functions.separate.output.peaks_writer import PeaksWriter
from functions.separate.output.serial_executor import SerialExecutor
from functions.separate.output.stem_writer import StemWriter
from functions.separate.stems import Stem
from microdemucs.audio_tags import AudioTags
from microdemucs.manifest import PeaksEntry, StemEntry
from microdemucs.options import Options


class StemsWriter:
    """The stems of one song. Methods raise what those of StemWriter raise."""

    def __init__(
        self,
        stems: Sequence[Stem],
        writers: Sequence[StemWriter],
        threads: Sequence[SerialExecutor],
        peaks: PeaksWriter,
    ) -> None:
        self._stems = stems
        self._writers = writers
        self._threads = threads
        self._peaks = peaks

    @property
    def needing_reencoding(self) -> list[StemWriter]:
        """The stems that must be encoded again, as far as their samples are known."""
        return [writer for writer in self._writers if writer.needs_reencoding]

    def write(self, block: Floats) -> None:
        """Encode the next [sources, 2, n] of the song. `block` must not change afterwards."""
        for stem, writer, thread in zip(self._stems, self._writers, self._threads, strict=True):
            stem_block = reduce(np.add, (block[i] for i in stem.sources))
            thread.submit(self._write, writer, stem_block)

    def wait(self) -> None:
        """Wait until all blocks are encoded."""
        for thread in self._threads:
            thread.wait()

    def reencode(self, on_progress: OnProgress) -> None:
        """Encode again the stems that need it."""
        writers = self.needing_reencoding
        progress = [0.0] * len(writers)

        def reencode(index: int) -> None:
            def on_stem_progress(share: float) -> None:
                progress[index] = share
                on_progress(sum(progress) / len(progress))

            writers[index].reencode(on_stem_progress)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(reencode, range(len(writers))))  # raises what one of them raised

    def finish(self) -> list[StemEntry]:
        """Upload the rest of all stems, and return their entries in the manifest."""
        with ThreadPoolExecutor(len(self._writers)) as pool:
            return list(pool.map(StemWriter.finish, self._writers))

    def finish_peaks(self) -> PeaksEntry:
        """Write the peaks of all stems, and return their entry in the manifest."""
        return self._peaks.finish()

    def _write(self, writer: StemWriter, block: Floats) -> None:
        writer.write(block)
        self._peaks.grown()


@contextmanager
def open_stems(
    destination: Destination,
    stems: Sequence[Stem],
    options: Options,
    length: int,
    mp3_quality: int | None = None,
    tags_of: Callable[[str], AudioTags] = lambda _: AudioTags(),
) -> Iterator[StemsWriter]:
    """Open a writer for the stems of a song of `length` samples; `tags_of` names a stem's tags.

    Uploads that are not finished when the context exits are aborted. Raises Rejected if the format
    cannot hold so long a song.
    """
    # at high bit rates LAME's fast modes are as accurate as its slow ones (docs/benchmarks.md)
    default_quality = 7 if options.bitrate >= 256 else 5
    quality = default_quality if mp3_quality is None else mp3_quality
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                closing(
                    StemWriter(destination, stem.name, options, length, quality, tags_of(stem.name))
                )
            )
            for stem in stems
        ]
        threads = [stack.enter_context(SerialExecutor()) for _ in stems]
        names, meters = [stem.name for stem in stems], [writer.peaks for writer in writers]
        peaks = PeaksWriter(destination, names, meters, length)
        yield StemsWriter(stems, writers, threads, peaks)
