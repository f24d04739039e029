"""Decode damaged files of every format, and say which crash, hang, or turn into noise.

    python -m tests.integration.separate.audio.mutations 1000 [SEED]

decodes 1,000 files per format, and prints what test_mutations reads: JSON.
"""

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from functions.separate.engine.cores import cores
from microdemucs.problems import Problem, Rejected
from tests.integration.separate.audio import odd_files
from tests.integration.separate.audio.decoding import decoded
from tests.integration.separate.sounds import encoded, file, music, video

LIMIT_S = 60
UNEXPLAINED = "in a way that no intact file does"  # the child ended by an exception or a signal
KINDS = {"corrupt", "empty", "not-audio", "too-long", "truncated"}
# Resampled or lossy audio overshoots its source a little.
MARGIN = 1.3
MUSIC = 0.7 * music(3)
MUSIC_48 = 0.7 * music(3, 48_000)

FORMATS: dict[str, Callable[[], bytes]] = {
    "mp3": lambda: encoded(MUSIC, 44_100, "mp3", "libmp3lame"),
    "mp3-tags": lambda: (
        odd_files.id3v2(odd_files.picture(9000))
        + encoded(MUSIC, 44_100, "mp3", "libmp3lame")
        + odd_files.ape(odd_files.picture(9000))
    ),
    "wav": lambda: file(MUSIC),
    "wav24": lambda: odd_files.wav_of_width(MUSIC, 24, 32),
    "w64": lambda: file(MUSIC, kind="W64", subtype="PCM_16"),
    "rf64": lambda: file(MUSIC, kind="RF64", subtype="PCM_16"),
    "flac": lambda: file(MUSIC, kind="FLAC"),
    "m4a": lambda: encoded(MUSIC, 44_100, "ipod", "aac"),
    "alac": lambda: encoded(MUSIC, 44_100, "ipod", "alac"),
    "mp4": lambda: video(MUSIC, "mp4", "aac"),
    "aac": lambda: encoded(MUSIC, 44_100, "adts", "aac"),
    "vorbis": lambda: file(MUSIC, kind="OGG", subtype="VORBIS"),
    "opus": lambda: encoded(MUSIC_48, 48_000, "ogg", "libopus"),
    "ogg-flac": lambda: encoded(MUSIC, 44_100, "ogg", "flac"),
    "aiff": lambda: file(MUSIC, kind="AIFF", subtype="PCM_16"),
    "caf": lambda: file(MUSIC, kind="CAF", subtype="PCM_16"),
    "wma": lambda: encoded(MUSIC, 44_100, "asf", "wmav2"),
    "webm": lambda: encoded(MUSIC_48, 48_000, "webm", "libopus"),
    "mka": lambda: encoded(MUSIC, 44_100, "matroska", "flac"),
    "wavpack": lambda: encoded(MUSIC, 44_100, "wv", "wavpack"),
}


def flip_bits(data: bytearray, random: Generator) -> None:
    for at in random.integers(0, len(data), random.integers(1, 40)):
        data[at] ^= 1 << random.integers(8)


def flip_bits_of_the_header(data: bytearray, random: Generator) -> None:
    for at in random.integers(0, min(len(data), 400), random.integers(1, 8)):
        data[at] = random.integers(256)


def cut(data: bytearray, random: Generator) -> None:
    del data[random.integers(1, len(data)) :]


def insert(data: bytearray, random: Generator) -> None:
    at = random.integers(len(data))
    data[at:at] = random.bytes(int(random.integers(1, 20_000)))


def remove(data: bytearray, random: Generator) -> None:
    at = random.integers(len(data))
    del data[at : at + random.integers(1, 20_000)]


def overwrite(data: bytearray, random: Generator) -> None:
    at, size = random.integers(len(data)), int(random.integers(1, 5_000))
    data[at : at + size] = random.bytes(size) if random.integers(2) else bytes(size)


def swap_halves(data: bytearray, random: Generator) -> None:
    at = random.integers(1, len(data))
    data[:] = data[at:] + data[:at]


def write_a_wrong_size(data: bytearray, random: Generator) -> None:
    at = random.integers(0, min(len(data), 400))
    size = random.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(data) * 2])
    data[at : at + 4] = int(size).to_bytes(4, "little" if random.integers(2) else "big")


MUTATIONS = (
    *(flip_bits, flip_bits_of_the_header, cut, insert),
    *(remove, overwrite, swap_halves, write_a_wrong_size),
)


@cache
def original(name: str) -> bytes:
    return FORMATS[name]()


class Verdict(NamedTuple):
    """What became of one file: `outcome` is a kind of problem or "decoded"; `wrong` may be ""."""

    outcome: str
    wrong: str
    seconds: float


def judge(name: str, number: int, seed: int) -> Verdict:
    """Damage a file, decode it, and judge the result."""
    random = np.random.default_rng([seed, number, *name.encode()])
    data = bytearray(original(name))
    mutation = MUTATIONS[number % len(MUTATIONS)]
    mutation(data, random)
    started = time.monotonic()
    wrong = ""
    try:
        song, samples = decoded(bytes(data), max_seconds=30, allow_truncated=bool(number % 2))
    except Rejected as error:
        outcome = error.kind
        if outcome not in KINDS or UNEXPLAINED in error.detail:
            wrong = f"{error.kind}: {error.detail}"
    except (Problem, AssertionError) as error:
        outcome, wrong = type(error).__name__, repr(error)
    else:
        outcome = "decoded"
        peak = np.abs(samples).max(initial=0)
        # a header that says floats is believed: their samples may exceed full scale
        is_loud = peak > MARGIN and not song.audio.codec.startswith("pcm_f")
        wrong = f"peak {peak}" if is_loud or not np.isfinite(samples).all() else ""
    seconds = time.monotonic() - started
    wrong = wrong or (f"{seconds:.0f} s" if seconds > LIMIT_S else "")
    label = f"{name} {number} {seed} {mutation.__name__}"
    return Verdict(outcome, f"{label}: {wrong}" if wrong else "", seconds)


class Summary(NamedTuple):
    """What became of the files of one format; `outcomes` counts them."""

    outcomes: dict[str, int]
    wrong: list[str]
    longest_seconds: float


def summarize(verdicts: list[Verdict]) -> Summary:
    return Summary(
        outcomes=dict(Counter(verdict.outcome for verdict in verdicts)),
        wrong=[verdict.wrong for verdict in verdicts if verdict.wrong],
        longest_seconds=max(verdict.seconds for verdict in verdicts),
    )


def main(per_format: int, seed: int = 0) -> None:
    """Print the summary of each format, and the most memory that a child had, in bytes."""
    found = {}
    with ThreadPoolExecutor(cores()) as threads:
        for name in FORMATS:
            original(name)
            numbers = range(per_format)
            verdicts = list(threads.map(lambda number: judge(name, number, seed), numbers))  # noqa: B023
            found[name] = summarize(verdicts)._asdict()
    memory = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"formats": found, "memory_bytes": memory}))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
