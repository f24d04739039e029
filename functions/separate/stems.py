"""The stems that a job wants of a model, and the song's sources one block after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from functions.separate.audio.decoder import DecodedSong
from functions.separate.engine import Floats, Model
from functions.separate.engine.overlap_add import Plan, separate
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


def planned(model: Model, length: int, options: Options, seed: str) -> Plan:
    """The plan of a song of `length` samples.

    `seed` draws the shifts, so that the same job gives the same stems.
    """
    return Plan.of(
        model,
        length,
        overlap=options.overlap,
        segment=options.segment,
        shifts=options.shifts,
        seed=seed,
    )


def estimates(song: DecodedSong, plan: Plan, check: Callable[[float], None]) -> Iterator[Floats]:
    """[sources, 2, n] in order: the song's sources at its own level.

    What `check` raises ends the work. Raises MemoryError.
    """
    mix = song.normalised(plan.history())
    for _, block in separate(plan, mix.read, check):
        yield song.restored(block)
