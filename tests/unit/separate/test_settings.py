from pathlib import Path

import pytest

from functions.separate.settings import ModelSettings, Settings
from microdemucs.paths import MODELS
from microdemucs.settings import BadSetting


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRECISION", "fp16"),
        ("ENGINE", "onnx"),
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


def test_the_models_are_in_the_checkout_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELS_DIR", raising=False)
    assert ModelSettings().folder == MODELS


def test_the_cache_may_be_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELS_CACHE", "~/models")
    assert ModelSettings().cache == tmp_path / "models"
