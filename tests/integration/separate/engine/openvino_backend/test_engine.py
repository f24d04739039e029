"""The OpenVINO engine equals demucs: the bundled model, real music, all edge cases."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from demucs.apply import BagOfModels
from demucs.hf import load_safetensors_model

from functions.separate.engine import Engine, Floats, Model
from functions.separate.engine.bag import Bag
from functions.separate.engine.locate import BUNDLED
from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.openvino_backend.prepare import prepare
from functions.separate.engine.openvino_backend.processor import precisions
from functions.separate.engine.torch_backend.engine import TorchEngine, model_of
from microdemucs.paths import ROOT
from tests.integration.separate.engine.comparison import (
    SEGMENT,
    STRIDE,
    WEIGHTS,
    decibels,
    separate,
    separate_with_demucs,
)

PRECISIONS = precisions()
MAX_DIFFERENCE_DB = {"f32": -80.0, "bf16": -40.0}
Models = dict[str, Model]


@pytest.fixture(scope="module")
def network() -> Any:
    """The bundled network on torch."""
    return load_safetensors_model(WEIGHTS).eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The bundled model on OpenVINO, by precision."""
    folder = tmp_path_factory.mktemp("prepared")
    for precision in PRECISIONS:
        prepare(Bag([WEIGHTS]), BUNDLED, folder / precision, precision)
    return {precision: prepared_model.load(folder / precision, BUNDLED) for precision in PRECISIONS}


def _model(*engines: Any) -> Model:
    return Model(BUNDLED, ("drums", "bass", "other", "vocals"), engines, [[1.0] * 4])


def music(length: int) -> Floats:
    """Return [2, length] of the sample from 12 s on, normalized as demucs does."""
    song, rate = soundfile.read(ROOT / "samples/black_mountain.mp3", dtype="float32")
    start = 12 * rate
    excerpt = song.T[:, start : start + length]
    mono = song.mean(1)
    normalized: Floats = np.ascontiguousarray((excerpt - mono.mean()) / mono.std(ddof=1))
    return normalized


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_song_is_separated_as_demucs_does(models: Models, network: Any, precision: str) -> None:
    mix = music(2 * SEGMENT + 4321)
    expected = separate_with_demucs(network, mix, shifts=0)
    difference = decibels(separate(models[precision], mix), expected)
    assert difference < MAX_DIFFERENCE_DB[precision]


@pytest.mark.parametrize(
    "length",
    [1, 2, 1000, STRIDE - 1, STRIDE, STRIDE + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * STRIDE + 1],
)
def test_any_length_is_within_80_decibels_of_demucs(
    models: Models, network: Any, length: int
) -> None:
    mix = music(length)
    found = separate(models["f32"], mix)
    assert found.shape == (4, 2, length)
    assert decibels(found, separate_with_demucs(network, mix, shifts=0)) < -80


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
def test_unusual_audio_is_separated_as_demucs_does(
    models: Models, network: Any, precision: str, change: Callable[[Floats], Floats]
) -> None:
    mix = change(music(SEGMENT))
    expected = separate_with_demucs(network, mix, shifts=0)
    difference = decibels(separate(models[precision], mix), expected)
    assert difference < MAX_DIFFERENCE_DB[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_silence_is_separated_as_demucs_does(models: Models, network: Any, precision: str) -> None:
    mix = np.zeros((2, SEGMENT + 5), np.float32)
    found = separate(models[precision], mix)
    assert np.isfinite(found).all()
    # of a mix with the standard deviation 1
    assert np.abs(found - separate_with_demucs(network, mix, shifts=0)).max() < 1e-4


def test_shorter_segments_are_separated_as_demucs_does(models: Models, network: Any) -> None:
    mix = music(SEGMENT)
    options = {"segment": 2.5, "overlap": 0.4}
    expected = separate_with_demucs(network, mix, shifts=0, **options)
    assert decibels(separate(models["f32"], mix, **options), expected) < -80


def test_shifted_passes_equal_those_of_demucs(
    models: Models, network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demucs.apply.random", random.Random("the job's id"))
    mix = music(STRIDE)
    expected = separate_with_demucs(network, mix, shifts=2)
    assert decibels(separate(models["f32"], mix, shifts=2, seed="the job's id"), expected) < -80


def test_an_ensemble_may_have_engines_of_both_kinds(models: Models, network: Any) -> None:
    weights = [[1.0, 0.0, 0.25, 1.0], [3.0, 1.0, 0.5, 0.0]]
    engines: tuple[Engine, ...] = (models["f32"].engines[0], TorchEngine(network))
    mixed = Model("mixed", tuple(network.sources), engines, weights)
    mix = music(SEGMENT + 999)
    expected = separate_with_demucs(BagOfModels([network, network], weights), mix, shifts=0)
    assert decibels(separate(mixed, mix), expected) < -80


@pytest.mark.parametrize("precision", PRECISIONS)
def test_joined_ranges_equal_the_whole_bit_for_bit(models: Models, precision: str) -> None:
    mix, model = music(3 * STRIDE + 5), models[precision]
    assert np.array_equal(separate(model, mix, 2), separate(model, mix))


def test_windows_in_several_threads_give_the_same(models: Models) -> None:
    engine = models["f32"].engines[0]
    mix = music(3 * STRIDE)

    class InThreads:
        def __init__(self, concurrency: int) -> None:
            self.concurrency = concurrency

        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

    one, three = (separate(_model(InThreads(count)), mix) for count in (1, 3))
    assert np.array_equal(one, three)


def test_both_engines_describe_the_model_alike(models: Models, network: Any) -> None:
    openvino, torch = models["f32"], model_of(BUNDLED, network)
    assert (openvino.sources, openvino.max_segment) == (torch.sources, torch.max_segment)
