"""Draw a campaign from its seed: which songs are sent when, and which faults happen. Pure."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice

from testing.faults.recipes import RECIPES


class Kind(StrEnum):
    """What happens to a component, for as many seconds as the fault lasts."""

    KILL = "kill"  # SIGKILL, then a new process
    PAUSE = "pause"  # SIGSTOP, then SIGCONT
    CUT = "cut"  # no packet leaves it, and none arrives at its port
    SLOW = "slow"  # 512 kbit/s, and every twentieth packet is lost
    FULL = "full"  # its disk has no free block


class Step(StrEnum):
    """The moment in a job's life at which a fault begins."""

    DOWNLOADING = "downloading"
    DECODING = "decoding"
    SEPARATING = "separating"
    UPLOADING = "uploading"
    BEFORE_MANIFEST = "before manifest"  # all stems are in the bucket, the manifest is not


class Way(StrEnum):
    """How a client sends a song."""

    PUT = "put"
    TWICE = "put twice"
    OTHER_OPTIONS = "put again with other options"
    CALLBACK = "sent with a callback"


COMPONENTS = (
    *("minio", "nats", "bridge", "intake", "sweep"),
    *("separate", "upload", "notify", "receiver"),
)
COMPONENTS_WITH_DISK = ("minio", "nats", "separate", "upload")

FAULTS_PER_ROUND = 6
SONGS_PER_ROUND = 7
_FAULTS_BEGIN_WITHIN_S = 8.0
_SONGS_ARE_SENT_WITHIN_S = 10.0
_SEPARATE_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Song:
    """One song that a client sends, `offset` seconds after its round has started."""

    number: int
    recipe: str
    way: Way
    offset: float

    @property
    def name(self) -> str:
        """The song's object key, if it is put into the bucket."""
        return f"song {self.number:05} {self.recipe}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: it begins `offset` seconds after its round, or later if it waits for a step.

    `process` chooses among several processes of the component, if the step does not. `song` is
    sent when the fault begins to wait for its step, so that there is a job that reaches it.
    """

    component: str
    kind: Kind
    step: Step | None
    offset: float
    seconds: float
    process: int
    song: Song | None


@dataclass(frozen=True, slots=True)
class Round:
    """Songs and faults that happen together. The stack is checked after each round."""

    number: int
    songs: tuple[Song, ...]
    faults: tuple[Fault, ...]

    @property
    def all_songs(self) -> list[Song]:
        """The songs, and those that faults need for their steps."""
        return [*self.songs, *(fault.song for fault in self.faults if fault.song)]


def draw_rounds(
    seed: int, faults: int, lease_s: float, kinds: Collection[Kind] = frozenset(Kind)
) -> list[Round]:
    """Return the rounds of a campaign with so many faults, of these kinds.

    The same arguments give the same rounds. A lease expires after `lease_s`.
    """
    chance = random.Random(seed)
    numbers = count(1)
    drawn = _draw_faults(chance, lease_s, kinds, numbers)
    return [
        Round(
            number=number,
            songs=_draw_songs(chance, numbers),
            faults=tuple(next(drawn) for _ in range(min(FAULTS_PER_ROUND, faults - begin))),
        )
        for number, begin in enumerate(range(0, faults, FAULTS_PER_ROUND), 1)
    ]


def _draw_songs(chance: random.Random, numbers: Iterator[int]) -> tuple[Song, ...]:
    songs: list[Song] = []
    for number in islice(numbers, SONGS_PER_ROUND):
        recipe = chance.choice(list(RECIPES.values()))
        ways = [Way.PUT, Way.PUT, Way.TWICE]
        if recipe.is_accepted_by_api:
            ways += [Way.CALLBACK, Way.CALLBACK]
        if recipe.other_options is not None:
            ways.append(Way.OTHER_OPTIONS)
        # the first song is there when the first fault begins
        offset = 0.0 if not songs else chance.uniform(0, _SONGS_ARE_SENT_WITHIN_S)
        songs.append(Song(number, recipe.name, chance.choice(ways), round(offset, 2)))
    return tuple(songs)


def _draw_faults(
    chance: random.Random, lease_s: float, kinds: Collection[Kind], numbers: Iterator[int]
) -> Iterator[Fault]:
    """Yield faults without end; each combination comes once before one comes again."""
    combinations = [one for one in _combinations() if one[1] in kinds]
    while True:
        for component, kind, step in _shuffled(chance, combinations):
            yield Fault(
                component=component,
                kind=kind,
                step=step,
                offset=round(chance.uniform(0, _FAULTS_BEGIN_WITHIN_S), 2),
                seconds=round(_draw_seconds(chance, component, kind, lease_s), 2),
                process=chance.randrange(_SEPARATE_PROCESSES),
                song=_draw_song_for_step(chance, next(numbers)) if step else None,
            )


def _draw_song_for_step(chance: random.Random, number: int) -> Song:
    # the longest has ranges: each of its requests is short, and most of them write no stem
    recipes = [recipe for recipe in RECIPES.values() if recipe.has_stems and recipe.seconds < 10]
    return Song(number, chance.choice(recipes).name, Way.PUT, 0.0)


def _combinations() -> Iterator[tuple[str, Kind, Step | None]]:
    for component in COMPONENTS:
        for kind in (Kind.KILL, Kind.PAUSE, Kind.CUT, Kind.SLOW):
            yield component, kind, None
    for component in COMPONENTS_WITH_DISK:
        yield component, Kind.FULL, None
    for step in Step:
        yield "separate", Kind.KILL, step
        yield "separate", Kind.PAUSE, step
    for component in ("minio", "nats"):
        yield component, Kind.KILL, Step.UPLOADING
        yield component, Kind.KILL, Step.BEFORE_MANIFEST
    yield "separate", Kind.CUT, Step.UPLOADING
    yield "minio", Kind.FULL, Step.UPLOADING


def _shuffled(
    chance: random.Random, combinations: Sequence[tuple[str, Kind, Step | None]]
) -> list[tuple[str, Kind, Step | None]]:
    return chance.sample(combinations, len(combinations))


def _draw_seconds(chance: random.Random, component: str, kind: Kind, lease_s: float) -> float:
    if kind == Kind.KILL:
        return chance.uniform(0.1, 4.0)
    is_long = kind in (Kind.PAUSE, Kind.CUT) and (component == "separate" or chance.random() < 0.2)
    # long enough that another process takes the song and works on it
    return chance.uniform(lease_s + 2, lease_s + 8) if is_long else chance.uniform(1.0, 8.0)
