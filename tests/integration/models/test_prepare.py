"""Weights in the folder of models are exported beside themselves."""

import shutil
from pathlib import Path

from functions.separate.engine.locate import LocatedModel
from functions.separate.engine.openvino_backend import exported_model
from tests.integration.models.preparing import prepare
from tests.integration.separate.engine.comparison import WEIGHTS, save_hdemucs


def test_weights_are_exported_once(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(WEIGHTS, tmp_path / "mine")
    result = prepare("mine", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "dB from torch in f32" in result.stdout
    exported = exported_model.find(tmp_path / "mine")
    assert exported
    assert exported.weights_digest == LocatedModel("mine", WEIGHTS).digest()
    assert "is complete" in prepare("mine", tmp_path).stdout


def test_a_model_that_cannot_be_exported_is_left_for_torch(tmp_path: Path) -> None:
    save_hdemucs(tmp_path / "older.th")
    result = prepare("older", tmp_path)
    assert result.returncode == 0
    assert "cannot be exported and runs on torch only: HDemucs is not HTDemucs" in result.stdout
    assert exported_model.find(tmp_path / "older") is None


def test_weights_that_cannot_be_read_end_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    result = prepare("broken", tmp_path)
    assert result.returncode == 1
    assert "broken.safetensors cannot be loaded" in result.stderr
