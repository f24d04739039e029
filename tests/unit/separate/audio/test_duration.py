"""The duration that headers declare."""

import io

import pytest

from functions.separate.audio.duration import caf_seconds, declared_seconds
from microdemucs.mpeg_audio import read_mpeg_header
from tests.integration.separate.audio import odd_files
from tests.integration.separate.sounds import encoded, file, music

MUSIC = music(3)
MP3 = encoded(MUSIC, 44_100, "mp3", "libmp3lame")
FRAMES = MP3[odd_files.frame_start(MP3) :]
CAF = file(MUSIC, kind="CAF", subtype="PCM_24")


@pytest.mark.parametrize(
    "container", ["flac", "mov,mp4,m4a,3gp,3g2,mj2", "aiff", "wv", "asf", "matroska,webm"]
)
def test_ffmpeg_reads_the_duration_of_some_containers(container: str) -> None:
    assert declared_seconds(b"", container, 9.0) == 9.0


@pytest.mark.parametrize("container", ["aac", "ogg"])
def test_raw_aac_and_ogg_declare_nothing(container: str) -> None:
    assert declared_seconds(b"", container, 9.0) is None


def test_an_mp3_with_an_info_frame_declares_its_frames() -> None:
    assert declared_seconds(FRAMES, "mp3", 9.0) == pytest.approx(3.0, abs=0.06)


def test_an_mp3_without_an_info_frame_declares_nothing() -> None:
    frame = read_mpeg_header(FRAMES[:8])
    assert frame
    assert declared_seconds(FRAMES[frame.size :], "mp3", 9.0) is None


@pytest.mark.parametrize("data", [b"", b"short", b"\xff" * 600], ids=["empty", "short", "noise"])
def test_an_mp3_without_a_header_declares_nothing(data: bytes) -> None:
    assert declared_seconds(data, "mp3", 9.0) is None


@pytest.mark.parametrize("size", [len(CAF), len(CAF) // 2])
def test_a_caf_declares_the_size_of_its_data(size: int) -> None:
    assert caf_seconds(io.BytesIO(CAF[:size])) == 3.0


@pytest.mark.parametrize(
    "data", [b"", b"caff", CAF[:30], b"caff\0\1\0\0" + bytes(9999)], ids=["0", "4", "30", "zeros"]
)
def test_a_caf_without_a_header_declares_nothing(data: bytes) -> None:
    assert caf_seconds(io.BytesIO(data)) is None
