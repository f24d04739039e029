"""demucs' models on torch, from all kinds of files."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from demucs.hf import load_safetensors_model

from functions.separate.engine import UnusableWeights
from functions.separate.engine.torch_backend import engine as torch_engine
from functions.separate.engine.torch_backend.engine import TorchEngine
from tests.integration.separate.engine.comparison import (
    SEGMENT,
    SEGMENT_S,
    SOURCES,
    WEIGHTS,
    save_hdemucs,
)


@pytest.fixture(scope="module")
def htdemucs() -> TorchEngine:
    return TorchEngine(load_safetensors_model(WEIGHTS))


@pytest.fixture
def hdemucs(tmp_path: Path) -> TorchEngine:
    save_hdemucs(tmp_path / "older.th")
    return TorchEngine(torch_engine.load_network("older", tmp_path / "older.th"))


def test_an_engine_separates_all_sources(htdemucs: TorchEngine) -> None:
    separated = htdemucs.separate(np.zeros((2, SEGMENT), np.float32))
    assert separated.shape == (4, 2, SEGMENT)
    assert separated.dtype == np.float32


def test_a_transformer_takes_at_most_its_own_segment(htdemucs: TorchEngine) -> None:
    assert float(htdemucs.segment) == htdemucs.max_segment == SEGMENT_S
    assert htdemucs.input_length(1000, 0) == SEGMENT
    assert htdemucs.input_length(1000, 1) == 44_100


def test_an_older_network_takes_any_segment(hdemucs: TorchEngine) -> None:
    assert hdemucs.max_segment == float("inf")
    assert hdemucs.input_length(1000, 1) == 1000


@pytest.mark.parametrize("text", ["[enforce fail] can't allocate memory: 1 bytes", "CUDA"])
def test_too_little_memory_is_a_memory_error(text: str) -> None:
    error: Exception = torch.OutOfMemoryError(text) if text == "CUDA" else RuntimeError(text)

    class Failing(torch.nn.Module):
        def forward(self, mix: Any) -> Any:
            raise error

    with pytest.raises(MemoryError):
        TorchEngine(Failing()).separate(np.zeros((2, 10), np.float32))


def test_other_errors_of_torch_stay() -> None:
    class Failing(torch.nn.Module):
        def forward(self, mix: Any) -> Any:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        TorchEngine(Failing()).separate(np.zeros((2, 10), np.float32))


def test_a_folder_may_have_one_file_of_weights(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS, tmp_path)
    model = torch_engine.load("mine", tmp_path, "a note")
    assert (model.name, model.sources, model.note) == ("mine", tuple(SOURCES), "a note")


def test_a_folder_may_have_the_list_of_an_ensemble(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS, tmp_path / "aaaa.safetensors")
    save_hdemucs(tmp_path / "bbbb.th")
    weights = [[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]
    bag = {"models": ["aaaa", "bbbb"], "weights": weights}
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump(bag))
    model = torch_engine.load("pair", tmp_path)
    assert len(model.engines) == 2
    assert [list(row) for row in model.weights] == weights


def test_a_folder_without_a_list_and_with_two_files_is_rejected(tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copy(WEIGHTS, tmp_path / f"{name}.safetensors")
    with pytest.raises(UnusableWeights, match=r"no \.yaml file and 2 files of weights"):
        torch_engine.load("mine", tmp_path)


def test_a_broken_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(UnusableWeights):
        torch_engine.load("broken", tmp_path / "broken.safetensors")


def test_a_model_for_another_sample_rate_is_rejected(tmp_path: Path) -> None:
    save_hdemucs(tmp_path / "slow.th", samplerate=22_050)
    with pytest.raises(UnusableWeights, match="2 channels at 22050 Hz"):
        torch_engine.load("slow", tmp_path / "slow.th")
