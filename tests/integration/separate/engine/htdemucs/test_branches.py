"""The encoders and decoders equal those of demucs."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from functions.separate.engine import CannotBuild, Floats
from functions.separate.engine.htdemucs.branches import decode, encode
from functions.separate.engine.htdemucs.operations import F32
from tests.integration.separate.engine.comparison import decibels
from tests.integration.separate.engine.htdemucs.graphs import run, tensors_of
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs

LENGTH = 1000  # not a multiple of the strides
FRAMES, BINS = 20, 256
RESIDUALS = 2


@pytest.fixture(scope="module")
def network() -> Any:
    return small_htdemucs()


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(5).standard_normal(shape, np.float32))


def last(x: Tensor) -> Floats:
    """Return the tensor with the channels last: frames before bins."""
    order = (0, 2, 1) if x.dim() == 3 else (0, 3, 2, 1)
    return np.ascontiguousarray(x.permute(*order).numpy())


def difference(found: Floats, expected: Tensor) -> float:
    assert found.shape == last(expected).shape
    return decibels(found, last(expected))


def test_an_encoder_of_the_wave_equals_that_of_demucs(network: Any) -> None:
    layer, x = network.tencoder[0], noise(1, 2, LENGTH)
    [found] = run(lambda i: encode(i, tensors_of(layer), RESIDUALS, F32), last(x))
    assert difference(found, layer(x)) < -100


def test_an_encoder_of_the_spectrogram_equals_that_of_demucs(network: Any) -> None:
    layer, x = network.encoder[0], noise(1, 4, BINS, FRAMES)
    [found] = run(lambda i: encode(i, tensors_of(layer), RESIDUALS, F32), last(x))
    assert difference(found, layer(x)) < -100


@pytest.mark.parametrize("index", [0, -1])
def test_a_decoder_of_the_wave_equals_that_of_demucs(network: Any, index: int) -> None:
    layer = network.tdecoder[index]
    channels = layer.conv_tr.in_channels
    x, skip = noise(1, channels, LENGTH // 4), noise(1, channels, LENGTH // 4)
    expected, _ = layer(x, skip, LENGTH)
    [found] = run(
        lambda i, s: decode(
            i, s, tensors_of(layer), RESIDUALS, LENGTH, F32, is_last=bool(layer.last)
        ),
        last(x),
        last(skip),
    )
    assert difference(found, expected) < -100


@pytest.mark.parametrize("index", [0, -1])
def test_a_decoder_of_the_spectrogram_equals_that_of_demucs(network: Any, index: int) -> None:
    layer = network.decoder[index]
    channels = layer.conv_tr.in_channels
    x, skip = noise(1, channels, BINS // 4, FRAMES), noise(1, channels, BINS // 4, FRAMES)
    expected, _ = layer(x, skip, FRAMES)
    [found] = run(
        lambda i, s: decode(i, s, tensors_of(layer), RESIDUALS, BINS, F32, is_last=layer.last),
        last(x),
        last(skip),
    )
    assert difference(found, expected) < -100


def test_missing_residual_branches_are_named(network: Any) -> None:
    plain = small_htdemucs(dconv_mode=0).tencoder[0]
    with pytest.raises(CannotBuild, match="residual branches"):
        run(lambda i: encode(i, tensors_of(plain), RESIDUALS, F32), last(noise(1, 2, LENGTH)))
