"""HTDemucs' transformer: demucs.transformer.CrossTransformerEncoder (demucs 4.1).

If the network is built with care, its sums run in f32 (see network.py).
"""

import math
from typing import Any

import numpy as np

from functions.separate.engine import Floats
from functions.separate.engine.htdemucs import operations as ov
from functions.separate.engine.htdemucs.operations import Tensor
from functions.separate.engine.htdemucs.weights import Tensors
from microdemucs.models.architecture import Architecture

_NORM_EPS = 1e-5  # torch.nn.LayerNorm's and GroupNorm's


def transform(
    x: Tensor, wave: Tensor, network: Tensors, architecture: Architecture, type_: Any, sums: Any
) -> tuple[Tensor, Tensor]:
    """Return both branches after the transformer, in the same shapes.

    `x` is [1, frames, bins, channels], `wave` [1, samples, channels].

    Products are in precision `type_`, what the layers add up in precision `sums`.
    """
    a = architecture
    x_shape = ov.shape(x)
    tokens = ov.reshape(x, [1, -1, x_shape[-1]])
    tokens = _width_change(tokens, network, "channel_upsampler", type_)
    wave = _width_change(wave, network, "channel_upsampler_t", type_)
    transformer = network.at("crosstransformer")
    width = ov.shape(tokens)[-1]
    planar = _planar_positions(width, x_shape[1], x_shape[2], a.t_max_period)
    linear = _linear_positions(ov.shape(wave)[1], width, a.t_max_period)
    tokens = _norm(ov.convert(tokens, sums), transformer.at("norm_in"))
    tokens = ov.add(tokens, a.t_weight_pos_embed * planar)
    wave = _norm(ov.convert(wave, sums), transformer.at("norm_in_t"))
    wave = ov.add(wave, a.t_weight_pos_embed * linear)
    for index in range(a.t_layers):
        layers = [transformer.at(name).at(index) for name in ("layers", "layers_t")]
        others = [(tokens, wave), (wave, tokens)]
        tokens, wave = (
            _layer(own, other if a.is_cross(index) else None, layer, a, type_)
            for (own, other), layer in zip(others, layers, strict=True)
        )
    tokens = _width_change(ov.convert(tokens, type_), network, "channel_downsampler", type_)
    wave = _width_change(ov.convert(wave, type_), network, "channel_downsampler_t", type_)
    return ov.reshape(tokens, x_shape), wave


def _layer(
    x: Tensor, other: Tensor | None, layer: Tensors, architecture: Architecture, type_: Any
) -> Tensor:
    """Return one branch [1, n, width] after a layer.

    With `other` [1, m, width] it attends to the other branch. The originals are
    demucs.transformer.MyTransformerEncoderLayer and CrossTransformerEncoderLayer.
    """
    own = _norm(x, layer.at("norm1"))
    attended, name, feedforward_norm = own, "self_attn", "norm2"
    if other is not None:
        attended = _norm(other, layer.at("norm2"))
        name, feedforward_norm = "cross_attn", "norm3"
    y = _attention(own, attended, layer.at(name), architecture.t_heads, type_)
    x = ov.add(x, _scaled(y, layer, "gamma_1"))
    wide = ov.linear(_norm(x, layer.at(feedforward_norm)), *_product(layer.at("linear1")), type_)
    narrow = ov.linear(ov.gelu(wide), *_product(layer.at("linear2")), type_)
    x = ov.add(x, _scaled(narrow, layer, "gamma_2"))
    if "norm_out.weight" in layer:  # one group norm over all tokens
        return _norm(x, layer.at("norm_out"), axes=[1, 2])
    return x


def _attention(x: Tensor, other: Tensor, layer: Tensors, heads: int, type_: Any) -> Tensor:
    """Return torch.nn.MultiheadAttention with separate products for query, key and value."""
    weights, biases = np.split(layer["in_proj_weight"], 3), np.split(layer["in_proj_bias"], 3)
    own, attended = ov.convert(x, type_), ov.convert(other, type_)
    inputs = (own, attended, attended)
    split = []
    for source, weight, bias in zip(inputs, weights, biases, strict=True):
        product = ov.linear(source, weight, bias, type_)
        by_head = ov.reshape(product, [1, ov.shape(product)[1], heads, -1])
        split.append(ov.transpose(by_head, [0, 2, 1, 3]))
    y = ov.transpose(ov.attention(*split), [0, 2, 1, 3])
    return ov.linear(ov.reshape(y, ov.shape(x)), *_product(layer.at("out_proj")), type_)


def _scaled(y: Tensor, layer: Tensors, name: str) -> Tensor:
    return ov.multiply(y, layer[f"{name}.scale"]) if f"{name}.scale" in layer else y


def _norm(x: Tensor, norm: Tensors, axes: list[int] | None = None) -> Tensor:
    return ov.normalize(x, axes or [2], norm["weight"], norm["bias"], _NORM_EPS)


def _product(layer: Tensors) -> tuple[Floats, Floats]:
    return layer["weight"], layer["bias"]


def _width_change(x: Tensor, network: Tensors, name: str, type_: Any) -> Tensor:
    """Return a convolution of width 1; `x` itself if the network has none."""
    if f"{name}.weight" not in network:
        return x
    layer = network.at(name)
    return ov.linear(x, layer["weight"][:, :, 0], layer["bias"], type_)


def _planar_positions(width: int, frames: int, bins: int, max_period: float) -> Floats:
    """Return demucs.transformer.create_2d_sin_embedding as [1, frames * bins, width]."""
    half = width // 2
    steps = np.exp(
        np.arange(0, half, 2, dtype=np.float32) * np.float32(-math.log(max_period) / half)
    )
    positions = np.zeros((frames, bins, width), np.float32)
    for start, phase in (
        (0, np.arange(frames, dtype=np.float32)[:, None, None] * steps),
        (half, np.arange(bins, dtype=np.float32)[None, :, None] * steps),
    ):
        positions[:, :, start : start + half : 2] = np.sin(phase)
        positions[:, :, start + 1 : start + half : 2] = np.cos(phase)
    return positions.reshape(1, frames * bins, width)


def _linear_positions(samples: int, width: int, max_period: float) -> Floats:
    """Return demucs.transformer.create_sin_embedding as [1, samples, width]."""
    half = width // 2
    exponents = np.arange(half, dtype=np.float32) / np.float32(half - 1)
    periods = np.float32(max_period) ** exponents
    phase = np.arange(samples, dtype=np.float32)[:, None] / periods
    return np.concatenate([np.cos(phase), np.sin(phase)], -1)[None]
