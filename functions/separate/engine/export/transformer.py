"""HTDemucs' transformer, rewritten for a compiler: attention as one operation, constant positions.

The original is demucs.transformer.CrossTransformerEncoder (demucs 4.1).
"""

from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from demucs.transformer import (
    CrossTransformerEncoderLayer,
    create_2d_sin_embedding,
    create_sin_embedding,
)
from torch import Tensor, nn
from torch.nn import functional

from functions.separate.engine.export.branches import NotExportable, linear


class Transformer(nn.Module):
    """The transformer, and the changes of width before and after it.

    Inputs and outputs: [1, frames, bins, channels] and [1, samples, channels].
    """

    positions: Tensor
    wave_positions: Tensor

    def __init__(self, model: HTDemucs, frames: int, bins: int, samples: int) -> None:
        super().__init__()
        original: Any = model.crosstransformer
        self.upsampler, self.downsampler, self.upsampler_t, self.downsampler_t = (
            _width_change(getattr(model, f"channel_{name}", None))
            for name in ("upsampler", "downsampler", "upsampler_t", "downsampler_t")
        )
        self.norm, self.norm_wave = original.norm_in, original.norm_in_t
        self.layers = nn.ModuleList(_Layer(layer) for layer in original.layers)
        self.wave_layers = nn.ModuleList(_Layer(layer) for layer in original.layers_t)
        width = original.layers[0].linear1.in_features
        period, weight = original.max_period, original.weight_pos_embed
        planar = create_2d_sin_embedding(  # type: ignore[no-untyped-call]
            width, bins, frames, "cpu", period
        )
        positions = planar.permute(0, 3, 2, 1).reshape(1, frames * bins, width)
        self.register_buffer("positions", weight * positions)
        linear_positions = create_sin_embedding(samples, width, max_period=period)
        self.register_buffer("wave_positions", weight * linear_positions.transpose(0, 1))

    def forward(self, x: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: see the class."""
        shape = x.shape
        x = self.norm(self.upsampler(x.reshape(1, -1, shape[-1]))) + self.positions
        wave = self.norm_wave(self.upsampler_t(wave)) + self.wave_positions
        for layer, wave_layer in zip(self.layers, self.wave_layers, strict=True):
            x, wave = layer(x, wave), wave_layer(wave, x)
        return self.downsampler(x).reshape(shape), self.downsampler_t(wave)


def is_cross(layer: Any) -> bool:
    """Return whether this layer attends to the other branch."""
    return isinstance(layer, CrossTransformerEncoderLayer)


class _Layer(nn.Module):
    """demucs.transformer.MyTransformerEncoderLayer or CrossTransformerEncoderLayer.

    [1, n, width] of one branch and [1, m, width] of the other → [1, n, width].
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.cross = is_cross(layer)
        self.attention = _Attention(layer.cross_attn if self.cross else layer.self_attn)
        self.norm, self.norm_other = layer.norm1, layer.norm2 if self.cross else None
        self.norm_feedforward = layer.norm3 if self.cross else layer.norm2
        self.wide, self.narrow = layer.linear1, layer.linear2
        self.scales = nn.ParameterList(
            getattr(gamma, "scale", torch.ones(1)) for gamma in (layer.gamma_1, layer.gamma_2)
        )
        self.out = _GroupNorm(layer.norm_out) if layer.norm_out else nn.Identity()

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        own = self.norm(x)
        attended = self.norm_other(other) if self.norm_other else own
        x = x + self.scales[0] * self.attention(own, attended)
        feedforward = self.narrow(functional.gelu(self.wide(self.norm_feedforward(x))))
        y: Tensor = self.out(x + self.scales[1] * feedforward)
        return y


class _GroupNorm(nn.Module):
    """demucs.transformer.MyGroupNorm with one group, without putting the channels first."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        if norm.num_groups != 1:
            raise NotExportable("its transformer's last norms have several groups")
        self.gain, self.offset, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = functional.layer_norm(x, x.shape[1:], eps=self.eps) * self.gain + self.offset
        return y


class _Attention(nn.Module):
    """torch.nn.MultiheadAttention with separate products for query, key and value."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = attention.num_heads
        weights, biases = attention.in_proj_weight.data, attention.in_proj_bias.data
        self.query, self.key, self.value = (
            linear(weight, bias)
            for weight, bias in zip(weights.chunk(3), biases.chunk(3), strict=True)
        )
        self.out = attention.out_proj

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        query, key, value = self.query(x), self.key(other), self.value(other)
        heads = [
            tensor.reshape(1, tensor.shape[1], self.heads, -1).transpose(1, 2)
            for tensor in (query, key, value)
        ]
        y = functional.scaled_dot_product_attention(*heads)
        z: Tensor = self.out(y.transpose(1, 2).reshape(x.shape))
        return z


def _width_change(convolution: Any) -> nn.Module:
    """Return a convolution of width 1 as a product; nothing if the widths are equal."""
    if convolution is None:
        return nn.Identity()
    return linear(convolution.weight.data[:, :, 0], convolution.bias.data)
