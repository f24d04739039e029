"""Exported networks equal torch's; others are rejected."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demucs.apply import BagOfModels
from demucs.hdemucs import HDemucs

from functions.separate.engine.export.exporter import NotExportable, export
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.torch_engine import TorchEngine
from tests.integration.separate.engine.comparison import SOURCES, decibels
from tests.integration.separate.engine.export.networks import small_htdemucs


@pytest.mark.parametrize(
    "make_network",
    [
        pytest.param(lambda: small_htdemucs(), id="htdemucs"),
        pytest.param(lambda: small_htdemucs([*SOURCES, "guitar", "piano"]), id="six sources"),
        pytest.param(lambda: small_htdemucs(bottom_channels=0), id="no bottleneck"),
        pytest.param(lambda: small_htdemucs(dconv_mode=0), id="no residuals"),
        pytest.param(lambda: small_htdemucs(nfft=2048), id="another transform"),
        pytest.param(
            lambda: small_htdemucs(t_layer_scale=False, t_norm_out=False), id="plain layers"
        ),
    ],
)
def test_every_kind_of_htdemucs_equals_torch(
    tmp_path: Path, make_network: Callable[[], Any]
) -> None:
    original = make_network()
    exported = export(original, "digest", tmp_path / "model")
    [network] = exported.networks
    assert network.differences["f32"] < -80
    files = exported.files(network)
    engine = OpenVinoEngine(files, network.segment, network.nfft, "f32", threads=1)
    mix = np.random.default_rng(1).standard_normal((2, 88_200)).astype(np.float32)
    assert decibels(engine.separate(mix), TorchEngine(original).separate(mix)) < -80


def test_an_ensemble_is_exported_whole(tmp_path: Path) -> None:
    weights = [[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 1.0]]
    ensemble = BagOfModels([small_htdemucs(), small_htdemucs(channels=12)], weights)
    exported = export(ensemble, "digest", tmp_path / "ensemble")
    assert exported_model.find(tmp_path / "ensemble") == exported
    assert len(exported.networks) == 2
    assert (exported.mixing, exported.sources) == (weights, tuple(SOURCES))


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.th").write_bytes(b"weights")
    export(small_htdemucs(), "digest", folder)
    assert (folder / "weights.th").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("make_network", "reason"),
    [
        pytest.param(lambda: HDemucs(SOURCES, channels=4), "HDemucs is not HTDemucs", id="HDemucs"),
        pytest.param(lambda: small_htdemucs(cac=False), "spectrogram", id="magnitudes"),
        pytest.param(lambda: small_htdemucs(t_layers=0), "no transformer", id="no transformer"),
        pytest.param(lambda: small_htdemucs(t_norm_first=False), "norms come last", id="norms"),
        pytest.param(lambda: small_htdemucs(norm_starts=1), "convolutions", id="convolutions"),
    ],
)
def test_another_architecture_is_rejected_and_leaves_nothing(
    tmp_path: Path, make_network: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(NotExportable, match=reason):
        export(make_network(), "digest", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_differs_too_much_is_rejected_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exported_model.MAX_DIFFERENCE_DB, "f32", -300.0)
    with pytest.raises(NotExportable, match=r"differs by -\d+\.\d dB from torch's"):
        export(small_htdemucs(), "digest", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
