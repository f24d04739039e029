"""Damaged files of every format never crash, hang, or turn into noise.

A few hundred in a normal run; more with the environment variable MUTATIONS (files per format).
"""

import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from numpy.random import Generator

from microdemucs.problems import Rejected
from tests.integration.separate.audio import odd_files
from tests.integration.separate.audio.decoding import decoded
from tests.integration.separate.sounds import encoded, file, music, video

PER_FORMAT = int(os.environ.get("MUTATIONS", "10"))
LIMIT_S = 60
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


def judge(name: str, number: int) -> str:
    """Decode one damaged file, and return what is wrong with the result, or ""."""
    random = np.random.default_rng([number, *name.encode()])
    data = bytearray(original(name))
    mutation = MUTATIONS[number % len(MUTATIONS)]
    mutation(data, random)
    label = f"{name} {number} {mutation.__name__}"
    started = time.monotonic()
    try:
        song, samples = decoded(bytes(data), max_seconds=30, allow_truncated=bool(number % 2))
    except Rejected as error:
        wrong = "" if error.kind in KINDS else f"{label}: {error.kind}"
    else:
        peak = np.abs(samples).max(initial=0)
        is_loud = peak > MARGIN and song.audio.codec != "pcm_f32le"
        wrong = f"{label}: peak {peak}" if is_loud or not np.isfinite(samples).all() else ""
    seconds = time.monotonic() - started
    return f"{label}: {seconds} s" if seconds > LIMIT_S else wrong


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_rejected_or_still_the_song(name: str) -> None:
    original(name)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        wrong = list(threads.map(lambda number: judge(name, number), range(PER_FORMAT)))
    assert [text for text in wrong if text] == []


def test_a_song_that_needs_too_much_memory_is_refused_by_the_child_alone() -> None:
    made = io.BytesIO(file(MUSIC, kind="FLAC"))
    header = bytearray(made.getvalue())
    header[4:8] = b"\x06\xff\xff\xff"  # a picture of 16 MB that is not there
    with pytest.raises(Rejected):
        decoded(bytes(header))
