"""Weights in the folder of models are prepared beside themselves."""

import shutil
from pathlib import Path

from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.torch_backend import engine as torch_engine
from tests.integration.models.preparing import prepare
from tests.integration.separate.engine.comparison import (
    SOURCES,
    WEIGHTS,
    save_hdemucs,
    save_htdemucs,
)


def prepared_folders(folder: Path) -> list[Path]:
    return [file.parent for file in folder.glob(f"compiled/*/{prepared_model.NAME}")]


def test_weights_are_prepared_once(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(WEIGHTS, tmp_path / "mine")
    result = prepare("mine", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "network-0-encoding.blob: " in result.stdout
    [folder] = prepared_folders(tmp_path / "mine")
    changed = (folder / prepared_model.NAME).stat().st_mtime_ns
    assert prepare("mine", tmp_path).returncode == 0
    assert (folder / prepared_model.NAME).stat().st_mtime_ns == changed


def test_pickles_become_safetensors(tmp_path: Path) -> None:
    save_htdemucs(tmp_path / "mine" / "mine.th")
    result = prepare("mine", tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "mine" / "mine.safetensors").exists()
    assert len(prepared_folders(tmp_path / "mine")) == 1


def test_a_model_that_openvino_cannot_run_is_left_for_torch(tmp_path: Path) -> None:
    save_hdemucs(tmp_path / "older" / "older.th")
    result = prepare("older", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "runs on torch only: HDemucs is not HTDemucs" in result.stdout
    assert prepared_folders(tmp_path / "older") == []
    assert torch_engine.load("older", tmp_path / "older").sources == tuple(SOURCES)


def test_weights_that_cannot_be_read_end_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    result = prepare("broken", tmp_path)
    assert result.returncode == 1
    assert "broken.safetensors cannot be loaded" in result.stderr
