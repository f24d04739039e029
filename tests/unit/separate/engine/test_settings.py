from pathlib import Path

import pytest

from functions.separate.engine.settings import ModelSettings
from microdemucs.paths import MODELS
from microdemucs.settings import BadSetting


@pytest.mark.parametrize(("name", "value"), [("PRECISION", "fp16"), ("ENGINE", "onnx")])
def test_a_bad_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=f"^{name} is '{value}': must be "):
        ModelSettings()


def test_the_models_are_in_the_checkout_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELS_DIR", raising=False)
    assert ModelSettings().folder == MODELS


def test_the_cache_may_be_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELS_CACHE", "~/models")
    assert ModelSettings().cache == tmp_path / "models"
