"""OpenVINO hears what demucs hears: the bundled model, real music, every border."""

import random

import numpy as np
import pytest
import soundfile
from demucs.apply import BagOfModels
from demucs.hf import load_safetensors_model

from functions.separate.engine import Model
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine, precisions
from functions.separate.engine.registry import BUNDLED
from functions.separate.engine.torch_engine import TorchEngine, model_of
from microdemucs.paths import ROOT
from tests.integration.separate.engine.heard import SEGMENT, STRIDE, ours, theirs
from tests.integration.separate.sounds import decibels

FOLDER = ROOT / "models" / BUNDLED
PRECISIONS = precisions()


@pytest.fixture(scope="module")
def network():
    return load_safetensors_model(FOLDER / f"{BUNDLED}.safetensors").eval()


@pytest.fixture(scope="module")
def models():
    """The bundled model on OpenVINO, by precision."""
    form = exported_model.find(FOLDER)
    one = form.networks[0]
    parts = form.files(one)
    engines = {
        precision: OpenVinoEngine(parts, one.segment, one.nfft, precision, threads=1)
        for precision in PRECISIONS
    }
    return {p: Model(BUNDLED, form.sources, (e,), form.mixing) for p, e in engines.items()}


def music(length: int, start: float = 12.0) -> np.ndarray:
    """[2, length] of the sample, normalised as demucs does."""
    song, _ = soundfile.read(ROOT / "samples/black_mountain.mp3", dtype="float32")
    begin = int(start * 44_100)
    part = song.T[:, begin : begin + length]
    mono = song.mean(1)
    return np.ascontiguousarray((part - mono.mean()) / mono.std(ddof=1))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_song_is_what_demucs_makes_of_it(models, network, precision):
    mix = music(2 * SEGMENT + 4321)
    apart = decibels(ours(models[precision], mix), theirs(network, mix, shifts=0))
    assert apart < exported_model.FAITHFUL[precision]


@pytest.mark.parametrize(
    "length",
    [1, 2, 1000, STRIDE - 1, STRIDE, STRIDE + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * STRIDE + 1],
)
def test_any_length_is_within_80_decibels_of_demucs(models, network, length):
    mix = music(length)
    found = ours(models["f32"], mix)
    assert found.shape == (4, 2, length)
    assert decibels(found, theirs(network, mix, shifts=0)) < -80


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda mix: np.repeat(mix[:1], 2, 0), id="mono"),
        pytest.param(lambda mix: np.clip(4 * mix, -1, 1), id="clipped"),
        pytest.param(lambda mix: mix * np.float32(1e-3), id="quiet"),
        pytest.param(lambda mix: mix + np.float32(3), id="offset"),
        pytest.param(lambda mix: np.stack([mix[0], 0 * mix[0]]), id="one side"),
    ],
)
def test_odd_sounds_are_separated_as_demucs_does(models, network, precision, change):
    mix = change(music(SEGMENT))
    apart = decibels(ours(models[precision], mix), theirs(network, mix, shifts=0))
    assert apart < exported_model.FAITHFUL[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_silence_gives_what_demucs_makes_of_silence(models, network, precision):
    mix = np.zeros((2, SEGMENT + 5), np.float32)
    found, right = ours(models[precision], mix), theirs(network, mix, shifts=0)
    assert np.isfinite(found).all()
    assert np.abs(found - right).max() < 1e-4  # of a mix whose deviation would be 1


def test_shorter_segments_are_heard_as_demucs_hears_them(models, network):
    mix = music(SEGMENT)
    options = {"segment": 2.5, "overlap": 0.4}
    found, right = ours(models["f32"], mix, **options), theirs(network, mix, shifts=0, **options)
    assert decibels(found, right) < -80


def test_shifted_passes_are_those_of_demucs(models, network, monkeypatch):
    monkeypatch.setattr("demucs.apply.random", random.Random("the job's id"))
    mix = music(STRIDE)
    right = theirs(network, mix, shifts=2)
    assert decibels(ours(models["f32"], mix, shifts=2, seed="the job's id"), right) < -80


def test_a_bag_may_have_engines_of_both_kinds(models, network):
    weights = [[1.0, 0.0, 0.25, 1.0], [3.0, 1.0, 0.5, 0.0]]
    mixed = Model(
        "mixed", tuple(network.sources), (models["f32"].engines[0], TorchEngine(network)), weights
    )
    mix = music(SEGMENT + 999)
    right = theirs(BagOfModels([network, network], weights), mix, shifts=0)
    assert decibels(ours(mixed, mix), right) < -80


@pytest.mark.parametrize("precision", PRECISIONS)
def test_ranges_are_together_the_whole(models, precision):
    mix, model = music(3 * STRIDE + 5), models[precision]
    assert np.array_equal(ours(model, mix, 2), ours(model, mix))


def test_windows_that_are_heard_at_once_give_the_same(models):
    engine = models["f32"].engines[0]
    mix = music(3 * STRIDE)

    class InThreads:
        def __init__(self, parallel):
            self.parallel = parallel

        def __getattr__(self, name):
            return getattr(engine, name)

    one, three = (
        ours(Model("threads", models["f32"].sources, (InThreads(n),), [[1.0] * 4]), mix)
        for n in (1, 3)
    )
    assert np.array_equal(one, three)


def test_torch_and_openvino_say_the_same_of_the_model(models, network):
    served, original = models["f32"], model_of(BUNDLED, network)
    assert (served.sources, served.longest) == (original.sources, original.longest)
