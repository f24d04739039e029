"""The transformer equals that of demucs."""

from typing import Any

import numpy as np
import pytest
import torch
from demucs.transformer import create_2d_sin_embedding, create_sin_embedding

from functions.separate.engine.htdemucs.operations import F32
from functions.separate.engine.htdemucs.transformer import (
    _linear_positions,
    _planar_positions,
    transform,
)
from microdemucs.models.architecture import Architecture
from tests.integration.separate.engine.comparison import SOURCES, decibels
from tests.integration.separate.engine.htdemucs.graphs import run, tensors_of
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs

FRAMES, BINS, SAMPLES = 11, 8, 50


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="htdemucs"),
        pytest.param({"t_layers": 4}, id="cross layer last"),
        pytest.param({"t_cross_first": True}, id="cross layer first"),
        pytest.param({"t_layer_scale": False, "t_norm_out": False}, id="plain layers"),
        pytest.param({"t_weight_pos_embed": 0.5, "t_max_period": 300.0}, id="other positions"),
    ],
)
def test_the_transformer_equals_that_of_demucs(changes: dict[str, Any]) -> None:
    arguments = {"t_layers": 3, "t_heads": 4} | changes
    network = small_htdemucs(bottom_channels=0, **arguments)
    channels = network.crosstransformer.layers[0].linear1.in_features
    random = np.random.default_rng(5)
    x = torch.from_numpy(random.standard_normal((1, channels, BINS, FRAMES), np.float32))
    wave = torch.from_numpy(random.standard_normal((1, channels, SAMPLES), np.float32))
    expected = network.crosstransformer(x, wave)
    architecture = Architecture(sources=tuple(SOURCES), **arguments)
    found, found_wave = run(
        lambda i, j: transform(i, j, tensors_of(network), architecture, F32, F32),
        x.permute(0, 3, 2, 1).numpy(),
        wave.transpose(1, 2).numpy(),
    )
    assert decibels(found, expected[0].permute(0, 3, 2, 1).numpy()) < -100
    assert decibels(found_wave, expected[1].transpose(1, 2).numpy()) < -100


def test_planar_positions_equal_those_of_demucs() -> None:
    expected: Any = create_2d_sin_embedding(32, BINS, FRAMES)
    by_frame = expected.permute(0, 3, 2, 1).reshape(1, FRAMES * BINS, 32).numpy()
    assert np.abs(_planar_positions(32, FRAMES, BINS, 10_000) - by_frame).max() < 1e-5


def test_linear_positions_equal_those_of_demucs() -> None:
    expected = create_sin_embedding(SAMPLES, 32).transpose(0, 1).numpy()
    assert np.abs(_linear_positions(SAMPLES, 32, 10_000) - expected).max() < 1e-5
