"""One process that does what the function does with a song, without store and bus.

    MODEL=FOLDER python -m benchmarks.one_song SONG INTO [--times 2]

decodes, separates and encodes with the function's own modules and its settings, and leaves four
MP3 stems in INTO, a folder that stands in the place of the bucket. It prints JSON; its times are
the monotonic clock's, so that whoever started it can count from that moment.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from functions.separate import preload


def main() -> None:
    """Do it, and tell."""
    preload.start()  # before the rest is imported, as microdemucs.service has it
    from benchmarks.song_to_stems import load, separate

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--times", type=int, default=1, help="how often, in this process")
    asked = parser.parse_args()
    with ThreadPoolExecutor(1) as apart:  # a model is loaded while its first song is decoded
        loading = apart.submit(load, preload.registry())
        songs = [separate(asked.song, asked.into, loading) for _ in range(asked.times)]
    loaded = loading.result()
    told = {"ready": loaded.ready, "precision": loaded.precision, "songs": songs}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
