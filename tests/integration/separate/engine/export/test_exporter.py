"""What is exported is what torch says; what is not like htdemucs is refused by name."""

import json

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

from functions.separate.engine.export.exporter import NotExportable, export
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.openvino_backend.stft import Transform
from functions.separate.engine.registry import BUNDLED
from functions.separate.engine.torch_engine import TorchEngine
from microdemucs.paths import ROOT
from tests.integration.separate.sounds import decibels

SOURCES = ["drums", "bass", "other", "vocals"]


def small(sources: list[str] = SOURCES, **changed) -> HTDemucs:
    """htdemucs' architecture, small, with random weights."""
    torch.manual_seed(3)
    arguments = {
        "channels": 8,
        "dconv_mode": 3,
        "bottom_channels": 32,
        "t_layers": 3,
        "t_heads": 4,
        "segment": 2,
    }
    return HTDemucs(sources, **(arguments | changed)).eval()


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(lambda: small(), id="htdemucs"),
        pytest.param(lambda: small([*SOURCES, "guitar", "piano"]), id="six sources"),
        pytest.param(lambda: small(bottom_channels=0), id="no bottleneck"),
        pytest.param(lambda: small(dconv_mode=0), id="no residuals"),
        pytest.param(lambda: small(nfft=2048), id="another transform"),
        pytest.param(lambda: small(t_layer_scale=False, t_norm_out=False), id="plain layers"),
    ],
)
def test_every_kind_of_htdemucs_is_exported_as_it_is(tmp_path, network):
    network = network()
    form = export(network, "digest", tmp_path / "model")
    one = form.networks[0]
    assert one.checked["f32"] < -80
    engine = OpenVinoEngine(form.files(one), one.segment, one.nfft, "f32", threads=1)
    mix = np.random.default_rng(1).standard_normal((2, 88_200)).astype(np.float32)
    assert decibels(engine.separate(mix), TorchEngine(network).separate(mix)) < -80


def test_a_bag_is_exported_whole(tmp_path):
    weights = [[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 1.0]]
    form = export(BagOfModels([small(), small(channels=12)], weights), "digest", tmp_path / "bag")
    assert exported_model.find(tmp_path / "bag") == form
    assert (len(form.networks), form.mixing, form.sources) == (2, weights, tuple(SOURCES))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        pytest.param(lambda: HDemucs(SOURCES, channels=4), "HDemucs is not HTDemucs", id="HDemucs"),
        pytest.param(lambda: small(cac=False), "spectrogram", id="magnitudes"),
        pytest.param(lambda: small(t_layers=0), "no transformer", id="no transformer"),
        pytest.param(lambda: small(t_norm_first=False), "norms come last", id="norms last"),
        pytest.param(lambda: small(norm_starts=1), "convolutions", id="normed convolutions"),
    ],
)
def test_what_is_built_otherwise_is_refused_and_leaves_nothing(tmp_path, network, why):
    with pytest.raises(NotExportable, match=why):
        export(network(), "digest", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_faithful_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setitem(exported_model.FAITHFUL, "f32", -300.0)
    with pytest.raises(NotExportable, match=r"differs by -\d+\.\d dB from torch's"):
        export(small(), "digest", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_bf16_would_spoil_is_served_in_f32(monkeypatch):
    form = exported_model.find(ROOT / "models" / BUNDLED)
    form.networks[0].checked["bf16"] = -12.0
    monkeypatch.delenv("PRECISION", raising=False)
    assert exported_model.load("spoilt", form).engines[0].precision == "f32"


@pytest.mark.parametrize("text", ["", "{", json.dumps({"format": exported_model.FORMAT + 1})])
def test_a_form_that_this_version_cannot_read_is_no_form(tmp_path, text):
    (tmp_path / exported_model.NAME).write_text(text)
    assert exported_model.find(tmp_path) is None


@pytest.mark.parametrize("samples", [88_200, 343_980])
def test_the_transform_is_that_of_demucs(samples):
    network = small(segment=samples / 44_100)
    mix = np.random.default_rng(2).standard_normal((2, samples)).astype(np.float32)
    transform = Transform(samples, 4096)
    right = network._spec(torch.from_numpy(mix)[None])[0].numpy().transpose(0, 2, 1)
    assert decibels(transform.forward(mix).view(np.float32), right.view(np.float32)) < -120
    back = network._ispec(torch.from_numpy(right.transpose(0, 2, 1))[None], samples)[0].numpy()
    assert decibels(transform.inverse(right), back) < -120
