"""Separate a song in one process as the function does, without store and bus.

    MODEL=FOLDER python -m benchmarks.one_song SONG OUTPUT [--times 2]

It decodes, separates and encodes with the function's modules and settings, and writes four MP3
stems into the folder OUTPUT. It prints JSON. Times are those of the monotonic clock, so that the
process that started it can count from its own start.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from microdemucs.fast_imports import without_garbage_collection
from microdemucs.malloc_arenas import limit_arenas


def main() -> None:
    """Separate, and print the times."""
    limit_arenas()  # this and the next line as in microdemucs.service
    with without_garbage_collection():
        from functions.separate import preload

        preload.start()
        from benchmarks.song_to_stems import load, separate

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--times", type=int, default=1, help="how often to separate it")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(1) as thread:  # the model is loaded while the first song is decoded
        loading = thread.submit(load, preload.registry())
        songs = [
            separate(arguments.song, arguments.output, loading) for _ in range(arguments.times)
        ]
    loaded = loading.result()
    report = {"ready": loaded.ready, "precision": loaded.precision, "songs": songs}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
