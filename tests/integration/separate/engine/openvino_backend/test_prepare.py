"""A model is prepared once for a kind of processor, in the precision that suits it."""

import logging
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.separate.engine import CannotBuild, Floats, UnusableWeights
from functions.separate.engine.bag import Bag
from functions.separate.engine.openvino_backend import prepare as module
from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.openvino_backend.prepare import prepare
from functions.separate.engine.openvino_backend.processor import has_bf16
from functions.separate.engine.torch_backend.convert import write_network
from microdemucs.models.ensemble import EnsembleDescription
from microdemucs.paths import ROOT
from tests.integration.separate.engine.comparison import SOURCES, WEIGHTS, save_hdemucs
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The file of a small network."""
    write_network(small_htdemucs(), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def prepared(bag: Bag, folder: Path, precision: str = "f32") -> prepared_model.PreparedModel:
    prepare(bag, "tested", folder, precision)
    return prepared_model.read(folder)


def test_two_that_prepare_at_once_prepare_once(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as threads:
        task = partial(prepare, Bag([small]), "tested", tmp_path / "model")
        list(threads.map(task, ["f32", "f32"]))
    assert caplog.messages.count("model prepared") == 1
    assert prepared_model.is_prepared(tmp_path / "model")
    assert not list(tmp_path.glob(".preparing-*"))


def test_an_ensemble_is_prepared_whole(small: Path, tmp_path: Path) -> None:
    write_network(small_htdemucs(channels=12, segment=1.5), tmp_path / "other.safetensors")
    weights = [[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 1.0]]
    bag = Bag([small, tmp_path / "other.safetensors"], EnsembleDescription(weights=weights))
    model = prepared(bag, tmp_path / "model")
    assert (model.sources, model.mixing) == (SOURCES, weights)
    assert [network.segment for network in model.networks] == ["2", "3/2"]
    engines = prepared_model.load(tmp_path / "model", "tested").engines
    assert [engine.separate(np.zeros((2, 9), np.float32)).shape for engine in engines] == [
        (4, 2, 9)
    ] * 2


def test_the_ensembles_segment_replaces_the_networks(small: Path, tmp_path: Path) -> None:
    from fractions import Fraction

    bag = Bag([small], EnsembleDescription(segment=Fraction(5, 4)))
    assert prepared(bag, tmp_path / "model").networks[0].segment == "5/4"


def test_weights_count_the_same_if_none_are_given(small: Path, tmp_path: Path) -> None:
    assert prepared(Bag([small]), tmp_path / "model").mixing == [[1.0] * 4]


@pytest.mark.parametrize("weights", [[[1.0]], [[1.0] * 4, [1.0] * 4]])
def test_wrong_weights_of_an_ensemble_are_an_error(
    small: Path, tmp_path: Path, weights: list[list[float]]
) -> None:
    bag = Bag([small], EnsembleDescription(weights=weights))
    with pytest.raises(UnusableWeights, match="not one weight per network and source"):
        prepare(bag, "tested", tmp_path / "model", "f32")
    assert not (tmp_path / "model").exists()


def test_networks_with_other_sources_are_an_error(small: Path, tmp_path: Path) -> None:
    write_network(small_htdemucs(["vocals", "rest"]), tmp_path / "other.safetensors")
    with pytest.raises(UnusableWeights, match="different sources"):
        prepare(Bag([small, tmp_path / "other.safetensors"]), "tested", tmp_path / "model", "f32")


def test_pickles_and_older_architectures_are_left_to_torch(tmp_path: Path) -> None:
    save_hdemucs(tmp_path / "older.th")
    with pytest.raises(CannotBuild, match="only torch reads"):
        prepare(Bag([tmp_path / "older.th"]), "tested", tmp_path / "model", "f32")


@pytest.mark.parametrize("setting", ["f32", pytest.param("bf16", marks=needs_bf16)])
def test_the_setting_takes_precedence(small: Path, tmp_path: Path, setting: str) -> None:
    [network] = prepared(Bag([small]), tmp_path / "model", setting).networks
    assert (network.precision, network.reason) == (setting, "the setting PRECISION")


def test_every_user_may_read_what_was_prepared(small: Path, tmp_path: Path) -> None:
    prepare(Bag([small]), "tested", tmp_path / "model", "f32")
    files = [*(tmp_path / "model").iterdir()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o644}
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


@needs_bf16
def test_bf16_is_measured_against_f32(small: Path, tmp_path: Path) -> None:
    [network] = prepared(Bag([small]), tmp_path / "model", "auto").networks
    other = {"bf16": "f32", "f32": "bf16"}[network.precision]
    assert network.reason.endswith(f"times as fast as {other} here")


@needs_bf16
@pytest.mark.parametrize(("obvious", "expected"), [(1.0, 0), (math.inf, 2)])
def test_more_windows_are_timed_only_if_the_first_ones_do_not_tell(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obvious: float, expected: int
) -> None:
    timed: list[OpenVinoEngine] = []
    fastest = module._fastest

    def counted(engine: OpenVinoEngine, clip: Floats) -> float:
        timed.append(engine)
        return fastest(engine, clip)

    monkeypatch.setattr(module, "_OBVIOUSLY_FASTER", obvious)
    monkeypatch.setattr(module, "_fastest", counted)
    [network] = prepared(Bag([small]), tmp_path / "model", "auto").networks
    assert len(timed) == expected
    assert "times as fast as" in network.reason


@needs_bf16
def test_f32_is_chosen_if_bf16_differs_too_much(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DIFFERENCE_DB", -300.0)
    [network] = prepared(Bag([small]), tmp_path / "model", "auto").networks
    assert network.precision == "f32"
    assert network.reason.startswith("bf16 differs by -")


def run(folder: Path) -> Any:
    return subprocess.run(
        [sys.executable, "-m", module.__name__, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prepares_beside_the_weights_for_all_users(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(WEIGHTS, folder)
    result = run(folder)
    assert result.returncode == 0, result.stderr
    files = [Path(line) for line in result.stdout.split()]
    assert len(files) == 3
    assert {file.parent.parent for file in files} == {folder / prepared_model.COMPILED}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o644}
    assert prepared_model.load(files[0].parent, "mine").sources == tuple(SOURCES)


def test_a_folder_without_weights_is_rejected_with_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 1
    assert f"`make models MODEL={tmp_path.name}` gets them" in result.stderr
