"""Compare the memory for an hour of audio with that for three minutes."""

from pathlib import Path

from benchmarks.programs import ours
from microdemucs.paths import MODELS
from testing.long_songs import long_song

_BUNDLED = MODELS / "htdemucs_tiny"
_LIMIT = 1.1e9  # bytes
_TOLERANCE = 0.1  # what the allocator and the garbage collector add from run to run


def compare(model: Path | None, cache: Path) -> int:
    """Print both peaks; return 0 if they are equal within a tenth and below 1.1 GB, otherwise 1.

    `model` is a folder; None is the bundled model.
    """
    program = ours(model or _BUNDLED, cache)
    program.process(long_song(10, cache / "songs"))  # compiles the model
    peaks = []
    for seconds in (180, 3600):
        run = program.process(long_song(seconds, cache / "songs"))
        peaks.append(run.rss)
        print(f"{seconds:5} s of audio: peak {run.rss / 1e6:6.0f} MB, {run.seconds:6.1f} s")
    short, long = peaks
    is_flat = abs(long - short) <= _TOLERANCE * short and long <= _LIMIT
    print("flat" if is_flat else "not flat: expected peaks within a tenth and below 1.1 GB")
    return 0 if is_flat else 1
