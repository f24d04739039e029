import pytest

from tests.integration.separate.audio.decoding import decoded, lag
from tests.integration.separate.sounds import decibels, encoded, music

SECONDS = 6.0
MUSIC = music(SECONDS)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("codec", ["wmav1", "wmav2"])
def test_wma_of_ffmpeg_keeps_its_first_frame(codec: str, rate: int) -> None:
    _, samples = decoded(encoded(music(SECONDS, rate), rate, "asf", codec))
    assert lag(samples, MUSIC) == 0
    assert len(samples) >= len(MUSIC)
    if rate >= 44_100:
        assert decibels(samples[: len(MUSIC)], MUSIC) < -15


def test_wma_of_another_encoder_is_read_as_ffmpeg_reads_it() -> None:
    wma = encoded(MUSIC, 44_100, "asf", "wmav2")
    _, samples = decoded(wma.replace("Lavf".encode("utf-16-le"), "Wxyz".encode("utf-16-le")))
    assert lag(samples, MUSIC) == -2048
