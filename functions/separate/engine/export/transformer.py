"""HTDemucs' transformer as a compiler for processors wants it: attention as one plain operation,
positions as constants.
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
    """demucs.transformer.CrossTransformerEncoder between the changes of width around it."""

    places: Tensor
    wave_places: Tensor

    def __init__(self, model: HTDemucs, frames: int, rows: int, steps: int) -> None:
        super().__init__()
        inner: Any = model.crosstransformer
        self.upsampler, self.downsampler, self.upsampler_t, self.downsampler_t = (
            _width(getattr(model, f"channel_{name}", None))
            for name in ("upsampler", "downsampler", "upsampler_t", "downsampler_t")
        )
        self.norm, self.norm_wave = inner.norm_in, inner.norm_in_t
        self.layers = nn.ModuleList(_Layer(one) for one in inner.layers)
        self.wave_layers = nn.ModuleList(_Layer(one) for one in inner.layers_t)
        width = inner.layers[0].linear1.in_features
        period, weight = inner.max_period, inner.weight_pos_embed
        flat = create_2d_sin_embedding(  # type: ignore[no-untyped-call]
            width, rows, frames, "cpu", period
        )
        places = flat.permute(0, 3, 2, 1).reshape(1, frames * rows, width)
        self.register_buffer("places", weight * places)
        line = create_sin_embedding(steps, width, max_period=period)
        self.register_buffer("wave_places", weight * line.transpose(0, 1))

    def forward(self, x: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
        shape = x.shape
        x = self.norm(self.upsampler(x.reshape(1, -1, shape[-1]))) + self.places
        wave = self.norm_wave(self.upsampler_t(wave)) + self.wave_places
        for layer, wave_layer in zip(self.layers, self.wave_layers, strict=True):
            x, wave = layer(x, wave), wave_layer(wave, x)
        return self.downsampler(x).reshape(shape), self.downsampler_t(wave)


class _Layer(nn.Module):
    """One layer of the transformer; it attends to itself, or across to the other branch."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.cross = is_cross(layer)
        self.attention = _Attention(layer.cross_attn if self.cross else layer.self_attn)
        self.norm, self.norm_other = layer.norm1, layer.norm2 if self.cross else None
        self.norm_inner = layer.norm3 if self.cross else layer.norm2
        self.wide, self.narrow = layer.linear1, layer.linear2
        self.scales = nn.ParameterList(
            getattr(one, "scale", torch.ones(1)) for one in (layer.gamma_1, layer.gamma_2)
        )
        self.out = _WholeNorm(layer.norm_out) if layer.norm_out else nn.Identity()

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        heard = self.norm(x)
        seen = self.norm_other(other) if self.norm_other else heard
        x = x + self.scales[0] * self.attention(heard, seen)
        inner = self.narrow(functional.gelu(self.wide(self.norm_inner(x))))
        y: Tensor = self.out(x + self.scales[1] * inner)
        return y


class _WholeNorm(nn.Module):
    """demucs.transformer.MyGroupNorm with one group: over all, without putting channels first."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        if norm.num_groups != 1:
            raise NotExportable("its transformer's last norms have several groups")
        self.gain, self.offset, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = functional.layer_norm(x, x.shape[1:], eps=self.eps) * self.gain + self.offset
        return y


def is_cross(layer: Any) -> bool:
    """Whether this layer attends to the other branch."""
    return isinstance(layer, CrossTransformerEncoderLayer)


class _Attention(nn.Module):
    """torch.nn.MultiheadAttention with a product for each of query, key and value."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = attention.num_heads
        weights, biases = attention.in_proj_weight.data, attention.in_proj_bias.data
        self.query, self.key, self.value = (
            linear(*one) for one in zip(weights.chunk(3), biases.chunk(3), strict=True)
        )
        self.out = attention.out_proj

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        query, key, value = self.query(x), self.key(other), self.value(other)
        heads = [
            one.reshape(1, one.shape[1], self.heads, -1).transpose(1, 2)
            for one in (query, key, value)
        ]
        y = functional.scaled_dot_product_attention(*heads)
        z: Tensor = self.out(y.transpose(1, 2).reshape(x.shape))
        return z


def _width(convolution: Any) -> nn.Module:
    """The change of width, or nothing where the transformer is as wide as what is around it."""
    if convolution is None:
        return nn.Identity()
    return linear(convolution.weight.data[:, :, 0], convolution.bias.data)
