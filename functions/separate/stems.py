"""The stems that a job wants of a model, and the song's sources one block after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from functions.separate import overlap
from functions.separate.audio import Song
from functions.separate.engine import Floats, Model
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


def estimates(
    song: Song, model: Model, options: Options, seed: str, check: Callable[[float], None]
) -> Iterator[Floats]:
    """[sources, 2, n] in order: the song's sources at its own level.

    `seed` draws the shifts, so that the same job gives the same stems. What `check` raises ends
    the work. Raises MemoryError.
    """
    plan = overlap.Plan.of(
        model,
        song.length,
        overlap=options.overlap,
        segment=options.segment,
        shifts=options.shifts,
        seed=seed,
    )
    mix = song.normalised(_history(plan))
    for block in overlap.separate(plan, mix.read, check):
        yield song.restored(block)


def _history(plan: overlap.Plan) -> int:
    """How far a window may reach back behind an earlier one, in samples."""
    sizes = {(engine, size) for _, engine, _, size, _ in plan.windows}
    engines = plan.model.engines
    longest = max(engines[engine].window(size, plan.segment) for engine, size in sizes)
    return longest + overlap.MAX_SHIFT
