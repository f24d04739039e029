"""The rewritten encoders and decoders equal those of demucs."""

from typing import Any

import pytest
import torch
from demucs.hdemucs import HEncLayer
from torch import Tensor

from functions.separate.engine.export.branches import Decoder, Encoder, NotExportable, linear
from tests.integration.separate.engine.comparison import decibels
from tests.integration.separate.engine.export.networks import small_htdemucs

LENGTH = 1000  # not a multiple of the strides
FRAMES, BINS = 20, 256


@pytest.fixture(scope="module")
def network() -> Any:
    return small_htdemucs()


def noise(*shape: int) -> Tensor:
    torch.manual_seed(5)
    return torch.randn(shape)


def difference(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return decibels(found.detach().numpy(), expected.detach().numpy())


def test_an_encoder_of_the_wave_equals_that_of_demucs(network: Any) -> None:
    layer = network.tencoder[0]
    x = noise(1, 2, LENGTH)
    found = Encoder(layer)(x.transpose(1, 2))
    assert difference(found.transpose(1, 2), layer(x)) < -100


def test_an_encoder_of_the_spectrogram_equals_that_of_demucs(network: Any) -> None:
    layer = network.encoder[0]
    x = noise(1, 4, BINS, FRAMES)
    found = Encoder(layer)(x.permute(0, 3, 2, 1))
    assert difference(found.permute(0, 3, 2, 1), layer(x)) < -100


@pytest.mark.parametrize("index", [0, -1])
def test_a_decoder_of_the_wave_equals_that_of_demucs(network: Any, index: int) -> None:
    layer = network.tdecoder[index]
    channels = layer.conv_tr.in_channels
    x, skip = noise(1, channels, LENGTH // 4), noise(1, channels, LENGTH // 4)
    expected, _ = layer(x, skip, LENGTH)
    found = Decoder(layer)(x.transpose(1, 2), skip.transpose(1, 2), LENGTH)
    assert difference(found.transpose(1, 2), expected) < -100


@pytest.mark.parametrize("index", [0, -1])
def test_a_decoder_of_the_spectrogram_equals_that_of_demucs(network: Any, index: int) -> None:
    layer = network.decoder[index]
    channels = layer.conv_tr.in_channels
    x, skip = noise(1, channels, BINS // 4, FRAMES), noise(1, channels, BINS // 4, FRAMES)
    expected, _ = layer(x, skip, FRAMES)
    found = Decoder(layer)(x.permute(0, 3, 2, 1), skip.permute(0, 3, 2, 1), BINS)
    assert difference(found.permute(0, 3, 2, 1), expected) < -100


def test_residuals_with_attention_are_rejected() -> None:
    hdemucs_layer: Any = HEncLayer
    layer = hdemucs_layer(2, 16, norm_groups=0, norm=False, freq=False, dconv_kw={"attn": True})
    with pytest.raises(NotExportable, match="residual branches"):
        Encoder(layer)


def test_linear_multiplies_and_adds() -> None:
    layer = linear(torch.tensor([[1.0, 2.0]]), torch.tensor([3.0]))
    assert layer(torch.tensor([[10.0, 100.0]])).tolist() == [[213.0]]
