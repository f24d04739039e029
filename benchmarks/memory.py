"""The memory that an hour takes, against that of three minutes."""

from pathlib import Path

from benchmarks.songs import song
from benchmarks.subjects import ours

_BUNDLED = Path(__file__).parent.parent / "models/htdemucs_tiny"
_MOST = 1.1e9
# of one and the same: what an allocator and a garbage collector make of it
_SAME = 0.1


def compare(model: Path | None, cache: Path) -> int:
    """Print both peaks; 0 where they are the same and within 1.1 GB, else 1.

    `model` is a folder; None: the bundled one.
    """
    subject = ours(model or _BUNDLED, cache)
    subject.process(song(10, cache / "songs"))  # what is made on first use
    peaks = []
    for seconds in (180, 3600):
        one = subject.process(song(seconds, cache / "songs"))
        peaks.append(one.rss)
        print(f"{seconds:5} s of audio: {one.rss / 1e6:6.0f} MB at most, {one.seconds:6.1f} s")
    short, long = peaks
    flat = abs(long - short) <= _SAME * short and long <= _MOST
    print("flat" if flat else "not flat: the same within a tenth, and 1.1 GB, were wanted")
    return 0 if flat else 1
