"""The duration that headers declare."""

import io
import struct
from pathlib import Path

import pytest
import soundfile

from functions.separate.audio.duration import declared_seconds
from tests.integration.separate.sounds import encoded, file, music

MUSIC = music(3)
WAV = file(MUSIC)
MP3 = encoded(MUSIC, 44_100, "mp3", "libmp3lame")


def declared(data: bytes, container: str, tmp_path: Path) -> float | None:
    path = tmp_path / "song"
    path.write_bytes(data)
    return declared_seconds(path, container, ffmpeg_seconds=9.0)


def with_data_size(size: int) -> bytes:
    at = WAV.index(b"data") + 4
    return WAV[:at] + struct.pack("<I", size) + WAV[at + 4 :]


@pytest.mark.parametrize("container", ["flac", "mov,mp4,m4a,3gp,3g2,mj2"])
def test_ffmpeg_reads_the_duration_of_flac_and_mp4(container: str, tmp_path: Path) -> None:
    assert declared(b"", container, tmp_path) == 9.0


@pytest.mark.parametrize("container", ["aac", "ogg"])
def test_raw_aac_and_ogg_declare_nothing(container: str, tmp_path: Path) -> None:
    assert declared(b"", container, tmp_path) is None


def test_a_wav_declares_the_size_of_its_data(tmp_path: Path) -> None:
    assert declared(WAV, "wav", tmp_path) == 3.0


def test_a_truncated_wav_still_declares_its_duration(tmp_path: Path) -> None:
    assert declared(WAV[: len(WAV) // 2], "wav", tmp_path) == 3.0


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_declares_nothing(size: int, tmp_path: Path) -> None:
    assert declared(with_data_size(size), "wav", tmp_path) is None


def test_other_chunks_of_a_wav_are_skipped(tmp_path: Path) -> None:
    chunk = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert declared(WAV[:12] + chunk + WAV[12:], "wav", tmp_path) == 3.0


def test_an_rf64_file_declares_nothing(tmp_path: Path) -> None:
    written = io.BytesIO()
    soundfile.write(written, MUSIC, 44_100, format="RF64")
    assert declared(written.getvalue(), "wav", tmp_path) is None


def test_an_mp3_with_an_info_frame_declares_its_frames(tmp_path: Path) -> None:
    assert declared(MP3, "mp3", tmp_path) == pytest.approx(3.0, abs=0.06)


def test_an_mp3_without_an_info_frame_declares_nothing(tmp_path: Path) -> None:
    without = MP3.replace(b"Info", b"none").replace(b"Xing", b"none")
    assert declared(without, "mp3", tmp_path) is None


@pytest.mark.parametrize("data", [b"", b"short", b"\xff" * 600], ids=["empty", "short", "noise"])
@pytest.mark.parametrize("container", ["wav", "mp3"])
def test_a_file_without_a_header_declares_nothing(
    data: bytes, container: str, tmp_path: Path
) -> None:
    assert declared(data, container, tmp_path) is None
