import pytest

from functions.separate.settings import Settings
from microdemucs.settings import BadSetting


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MP3_QUALITY", "10"),
        ("MP3_QUALITY", "1.5"),
        ("MAX_SONG_SECONDS", "0"),
        ("MAX_SONG_BYTES", "none"),
        ("RANGE_SECONDS", "-1"),
        ("SONG_CONCURRENCY", "0"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=f"^{name} is '{value}': must be "):
        Settings()


@pytest.mark.parametrize(("value", "quality"), [("", None), ("0", 0), ("9", 9)])
def test_the_mp3_quality_may_be_left_to_the_bit_rate(
    monkeypatch: pytest.MonkeyPatch, value: str, quality: int | None
) -> None:
    monkeypatch.setenv("MP3_QUALITY", value)
    assert Settings().mp3_quality == quality
