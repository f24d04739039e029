"""From a decoded song to encoded stems: separate to disk, then encode, several stems at a time.

The stems wait on disk as floats, since `rescale` must know a stem's peak before its first sample
can be written: 353 kB for each second and stem.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import BinaryIO

import numpy as np

from functions.separate import overlap
from functions.separate.audio import Song
from functions.separate.encode import encode
from functions.separate.engine import Floats, Model
from functions.separate.report import Report
from functions.separate.spool import Spool
from microdemucs import settings
from microdemucs.options import BadOption, Options


@dataclass(frozen=True, slots=True)
class Stem:
    """One output: its name, and which of the model's sources it is the sum of."""

    name: str
    sources: tuple[int, ...]


def wanted(model: Model, options: Options) -> list[Stem]:
    """The stems to write, in the model's order. Raises BadOption where the model has no such."""
    names = model.sources
    accepted = ", ".join(names)
    if options.segment > model.longest:
        raise BadOption(
            "segment", f"{options.segment:g}", f"1 to {model.longest:g} with {model.name}"
        )
    if options.two_stems:
        if options.two_stems not in names:
            raise BadOption("two_stems", options.two_stems, accepted)
        one = names.index(options.two_stems)
        others = tuple(i for i in range(len(names)) if i != one)
        return [Stem(options.two_stems, (one,)), Stem(f"no_{options.two_stems}", others)]
    for name in options.stems:
        if name not in names:
            raise BadOption("stems", name, accepted)
    chosen = options.stems or names
    return [Stem(name, (i,)) for i, name in enumerate(names) if name in chosen]


@contextmanager
def separated(
    song: Song, model: Model, options: Options, job: str, report: Report
) -> Iterator[dict[str, BinaryIO]]:
    """Name → encoded file, for as long as the context lasts. What `report` raises ends it.

    `job` seeds the shifts, so that the same job gives the same stems. Raises BadOption,
    MemoryError.
    """
    stems = wanted(model, options)
    with ExitStack() as opened:
        spools = [opened.enter_context(Spool()) for _ in stems]
        with report.phase("separating") as step:
            for block in estimates(song, model, options, job, step):
                for stem, spool in zip(stems, spools, strict=True):
                    spool.append(reduce(np.add, (block[i] for i in stem.sources)))
        # nameless, as the spools are: nothing is left of them however the process ends
        files = [opened.enter_context(tempfile.TemporaryFile()) for _ in stems]
        with report.phase("encoding") as step:
            _encode(spools, options, files, step)
        for file, spool in zip(files, spools, strict=True):
            spool.close()
            file.seek(0)
        yield {stem.name: file for stem, file in zip(stems, files, strict=True)}


def estimates(
    song: Song, model: Model, options: Options, seed: str, check: Callable[[float], None]
) -> Iterator[Floats]:
    """[sources, 2, n] in order: the song's sources at its own level."""
    plan = overlap.Plan.of(
        model,
        song.length,
        overlap=options.overlap,
        segment=options.segment,
        shifts=options.shifts,
        seed=seed,
    )
    for block in overlap.separate(plan, song.normalised, check):
        yield song.restored(block)


def _encode(
    spools: Sequence[Spool],
    options: Options,
    files: Sequence[BinaryIO],
    step: Callable[[float], None],
) -> None:
    quality = int(settings.number("MP3_QUALITY", 2))
    shares = [0.0] * len(spools)

    def one(index: int) -> None:
        def check(share: float) -> None:
            shares[index] = share
            step(sum(shares) / len(shares))

        encode(spools[index], options, files[index], check, quality)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # LAME and libsndfile let go of the GIL
        for _ in pool.map(one, range(len(spools))):
            """Raise what one of them raised."""
