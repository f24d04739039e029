"""The rewritten transformer equals that of demucs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from functions.separate.engine.export.branches import NotExportable
from functions.separate.engine.export.transformer import Transformer, is_cross
from tests.integration.separate.engine.comparison import decibels
from tests.integration.separate.engine.export.networks import small_htdemucs

FRAMES, BINS, SAMPLES = 11, 8, 50


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"bottom_channels": 0}, id="htdemucs"),
        pytest.param({"bottom_channels": 0, "t_layers": 4}, id="cross layer last"),
        pytest.param(
            {"bottom_channels": 0, "t_layer_scale": False, "t_norm_out": False}, id="plain layers"
        ),
    ],
)
def test_the_transformer_equals_that_of_demucs(changes: dict[str, Any]) -> None:
    network = small_htdemucs(**changes)
    channels = network.crosstransformer.layers[0].linear1.in_features
    torch.manual_seed(5)
    x, wave = torch.randn(1, channels, BINS, FRAMES), torch.randn(1, channels, SAMPLES)
    expected = network.crosstransformer(x, wave)
    transformer = Transformer(network, FRAMES, BINS, SAMPLES)
    found, found_wave = transformer(x.permute(0, 3, 2, 1), wave.transpose(1, 2))
    assert _difference(found.permute(0, 3, 2, 1), expected[0]) < -100
    assert _difference(found_wave.transpose(1, 2), expected[1]) < -100


def _difference(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return decibels(found.detach().numpy(), expected.detach().numpy())


def test_every_second_layer_attends_to_the_other_branch() -> None:
    network = small_htdemucs()
    assert [is_cross(layer) for layer in network.crosstransformer.layers] == [False, True, False]


def test_norms_with_several_groups_are_rejected() -> None:
    network = small_htdemucs(t_norm_out=3, bottom_channels=48)
    with pytest.raises(NotExportable, match="several groups"):
        Transformer(network, FRAMES, BINS, SAMPLES)
