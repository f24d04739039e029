"""demucs' pickles become safetensors files that demucs reads too."""

import shutil
from pathlib import Path

import pytest
import torch
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs

from functions.separate.engine import UnusableWeights
from functions.separate.engine.bag import Bag
from functions.separate.engine.torch_backend.convert import convert, write_network
from microdemucs.models.ensemble import EnsembleDescription
from tests.integration.separate.engine.comparison import WEIGHTS, save_hdemucs
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs


def test_a_network_is_read_by_demucs_as_it_was_written(tmp_path: Path) -> None:
    network = small_htdemucs(segment=1.5)
    write_network(network, tmp_path / "network.safetensors")
    read = load_safetensors_model(tmp_path / "network.safetensors")
    assert isinstance(read, HTDemucs)
    assert read.segment == 1.5
    expected = network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in read.state_dict().items())


def test_all_users_can_read_a_written_network(tmp_path: Path) -> None:
    write_network(small_htdemucs(), tmp_path / "network.safetensors")
    assert (tmp_path / "network.safetensors").stat().st_mode & 0o777 == 0o644


def test_weights_that_fp16_can_hold_are_written_so(tmp_path: Path) -> None:
    write_network(load_safetensors_model(WEIGHTS), tmp_path / "network.safetensors")
    assert (tmp_path / "network.safetensors").stat().st_size == pytest.approx(
        WEIGHTS.stat().st_size, rel=0.01
    )


def test_pickles_are_converted_and_other_files_stay(tmp_path: Path) -> None:
    save_hdemucs(tmp_path / "weights" / "older.th")
    shutil.copy(WEIGHTS, tmp_path / "weights")
    files = sorted((tmp_path / "weights").iterdir())
    weights = EnsembleDescription(weights=[[1.0], [2.0]])
    bag = convert(Bag(files, weights), tmp_path / "converted")
    converted = tmp_path / "converted" / "older.safetensors"
    assert bag == Bag([files[0], converted], weights)
    assert type(load_safetensors_model(bag.files[1])).__name__ == "HDemucs"
    changed = bag.files[1].stat().st_mtime_ns
    assert convert(Bag(files), tmp_path / "converted").files[1].stat().st_mtime_ns == changed


def test_a_pickle_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.th").write_bytes(b"no pickle")
    with pytest.raises(UnusableWeights):
        convert(Bag([tmp_path / "broken.th"]), tmp_path / "converted")
    assert not list((tmp_path / "converted").glob("*.safetensors"))
