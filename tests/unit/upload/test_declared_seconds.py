"""How long a song says it is."""

import io
import wave
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from functions.upload.declared_seconds import declared_seconds
from functions.upload.song_file import SongFile, open_song_file


@pytest.fixture
def song() -> Iterator[SongFile]:
    with open_song_file(10_000_000) as song:
        yield song


def encoded(format_: str, rate: int, frames: int, channels: int = 2) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((frames, channels), np.float32), rate, format=format_)
    return file.getvalue()


@pytest.mark.parametrize("format_", ["FLAC", "WAV"])
@pytest.mark.parametrize(("rate", "frames"), [(44_100, 44_100), (8_000, 4_000), (96_000, 9_600)])
def test_the_header_declares_the_duration(
    song: SongFile, format_: str, rate: int, frames: int
) -> None:
    song.write(encoded(format_, rate, frames))
    assert declared_seconds(song) == frames / rate


def test_two_hours_of_silence_in_a_few_bytes_declare_two_hours(song: SongFile) -> None:
    song.write(encoded("FLAC", 1_000, 7_200_000, channels=1))
    assert song.size < 50_000
    assert declared_seconds(song) == 7200


def test_a_wav_that_was_streamed_is_as_long_as_its_samples(song: SongFile) -> None:
    data = bytearray(encoded("WAV", 44_100, 44_100))
    position = data.index(b"data") + 4
    data[position : position + 4] = b"\xff\xff\xff\xff"
    song.write(bytes(data))
    assert declared_seconds(song) == pytest.approx(1, abs=0.01)


def empty_wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((2, 2, 44_100, 0, "NONE", ""))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"fLaC",
        b"fLaC" + b"\0" * 100,
        b"RIFF",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"RIFF" + b"\xff" * 100,
        b"ID3" + b"\0" * 100,
    ],
)
def test_other_songs_declare_nothing(song: SongFile, data: bytes) -> None:
    song.write(data)
    assert declared_seconds(song) is None


def test_a_wav_without_samples_declares_none(song: SongFile) -> None:
    song.write(empty_wav())
    assert declared_seconds(song) == 0
