"""Choose a job's stems, plan its windows, and separate them block by block."""

from collections.abc import Iterator
from dataclasses import dataclass

from functions.separate.audio.decoder import DecodedSong
from functions.separate.engine import Floats, Model
from functions.separate.engine.overlap_add import Plan, separate_windows
from functions.separate.on_progress import OnProgress
from microdemucs.models.catalogue import check_stems
from microdemucs.options import Options


@dataclass(frozen=True, slots=True)
class Stem:
    """One output track: its name, and the indices of the model's sources that it is the sum of."""

    name: str
    sources: tuple[int, ...]


def choose_stems(model: Model, options: Options) -> list[Stem]:
    """Return the stems to write, in the model's order.

    Raises BadOption if the model has no such source, or takes no such segment.
    """
    names = model.sources
    check_stems(options, model.name, names, model.max_segment)
    if options.two_stems:
        index = names.index(options.two_stems)
        others = tuple(i for i in range(len(names)) if i != index)
        return [Stem(options.two_stems, (index,)), Stem(f"no_{options.two_stems}", others)]
    chosen = options.stems or names
    return [Stem(name, (i,)) for i, name in enumerate(names) if name in chosen]


def make_plan(model: Model, length: int, options: Options, seed: str) -> Plan:
    """Return the plan of a song of `length` samples.

    `seed` determines the random shifts, so the same job always gives the same stems.
    """
    return Plan.of(
        model,
        length,
        overlap=options.overlap,
        segment=options.segment,
        shifts=options.shifts,
        seed=seed,
    )


def separate_song(song: DecodedSong, plan: Plan, on_progress: OnProgress) -> Iterator[Floats]:
    """Yield [sources, 2, n] in order: the song's sources at its own level. Raises MemoryError."""
    mix = song.normalized(plan.history())
    normalization = song.normalization
    for block in separate_windows(plan, mix.read, on_progress):
        yield normalization.denormalize(block.samples)
