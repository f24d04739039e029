"""The encoders and decoders of HTDemucs' two branches as matrix products, with the channels last.

The spectrogram's branch has tensors [1, frames, bins, channels], the wave's branch
[1, samples, channels]. Frames or samples are axis 1; strides go along the last axis but one. They
compute the same sums as demucs.hdemucs.HEncLayer and HDecLayer without norms (demucs 4.1).
"""

from typing import Any

import numpy as np

from functions.separate.engine import CannotBuild, Floats
from functions.separate.engine.htdemucs import operations as ov
from functions.separate.engine.htdemucs.operations import Tensor
from functions.separate.engine.htdemucs.weights import Tensors

_NORM_EPS = 1e-5  # torch.nn.GroupNorm's


def encode(x: Tensor, layer: Tensors, residuals: int, type_: Any) -> Tensor:
    """Turn [1, …, n, in] into [1, …, ⌈n / stride⌉, out], with `residuals` residual layers."""
    y = ov.gelu(_strided_convolution(x, layer.at("conv"), type_))
    y = _residual_layers(y, layer, residuals, type_)
    return _gated(y, layer.at("rewrite"), type_)


def decode(
    x: Tensor,
    skip: Tensor,
    layer: Tensors,
    residuals: int,
    length: int,
    type_: Any,
    *,
    is_last: bool,
) -> Tensor:
    """Turn [1, …, n, in] into [1, …, length, out].

    `skip` is the output of the encoder at the same depth, `length` the number of bins or samples
    that its input had.
    """
    y = _gated(ov.add(ov.convert(x, type_), skip), layer.at("rewrite"), type_)
    y = _residual_layers(y, layer, residuals, type_)
    y = _transposed_convolution(y, layer.at("conv_tr"), length, type_)
    return y if is_last else ov.gelu(y)


def _strided_convolution(x: Tensor, layer: Tensors, type_: Any) -> Tensor:
    """Return a convolution with kernel 2 s and stride s along the last axis but one.

    Rows are blocks of s samples. Each output is the product of a block and its successor.
    """
    weight = _flat_kernel(layer["weight"])  # [out, in, kernel]
    stride = weight.shape[2] // 2
    *before, n, channels = ov.shape(x)
    half, short = stride // 2, -n % stride
    padded = ov.pad(ov.convert(x, type_), len(before), half, half + short)
    count = (n + short) // stride + 1
    blocks = ov.reshape(padded, [*before, count, stride * channels])
    axis = len(before)
    first, second = ov.cut(blocks, axis, 0, count - 1), ov.cut(blocks, axis, 1, count)
    pairs = ov.concatenate([first, second], axis + 1)
    by_sample = weight.transpose(0, 2, 1).reshape(len(weight), -1)
    return ov.linear(pairs, by_sample, layer["bias"], type_)


def _transposed_convolution(x: Tensor, layer: Tensors, length: int, type_: Any) -> Tensor:
    """Return a transposed convolution with kernel 2 s, stride s and `length` outputs."""
    weight = _flat_kernel(layer["weight"]).transpose(2, 1, 0)  # [kernel, out, in]
    stride, out = weight.shape[0] // 2, weight.shape[1]
    first, second = weight.reshape(2, stride * out, -1)
    *before, n, _ = ov.shape(x)
    axis = len(before)
    padded = ov.pad(x, axis, 1, 1)
    pairs = ov.concatenate(
        [ov.cut(padded, axis, 0, n + 1), ov.cut(padded, axis, 1, n + 2)], axis + 1
    )
    both = np.concatenate([second, first], -1)
    blocks = ov.linear(pairs, both, np.tile(layer["bias"], stride), type_)
    samples = ov.reshape(blocks, [*before, (n + 1) * stride, out])
    return ov.cut(samples, axis, stride // 2, stride // 2 + length)


def _gated(x: Tensor, layer: Tensors, type_: Any) -> Tensor:
    """Return a convolution and its GLU: one product for the value, one for the gate."""
    weight, bias = layer["weight"], layer["bias"]
    if weight[0, 0].size == 1:
        halves = zip(np.split(weight.reshape(len(weight), -1), 2), np.split(bias, 2), strict=True)
        return ov.gated(*(ov.linear(x, *half, type_) for half in halves))
    # Along time, it is a convolution along both axes with a single bin: for a convolution along one
    # axis OpenVINO would put the channels first, and last again.
    weight = weight.swapaxes(2, 3) if weight.ndim == 4 else weight[..., None]  # frames before bins
    x_shape = ov.shape(x)
    planes = ov.reshape(x, [1, x_shape[1], -1, x_shape[-1]])
    channels_first = ov.transpose(planes, [0, 3, 1, 2])
    halves = zip(np.split(weight, 2), np.split(bias, 2), strict=True)
    y = ov.gated(*(ov.convolution(channels_first, *half, type_) for half in halves))
    return ov.reshape(ov.transpose(y, [0, 2, 3, 1]), x_shape)


def _residual_layers(x: Tensor, layer: Tensors, count: int, type_: Any) -> Tensor:
    for index in range(count):
        x = _residual_layer(x, layer.at("dconv").at("layers").at(index), 2**index, type_)
    return x


def _residual_layer(x: Tensor, layer: Tensors, step: int, type_: Any) -> Tensor:
    """Return one residual layer of demucs.demucs.DConv along axis 1; its taps are `step` apart.

    The second group norm is over the 2 C channels of W h + b, where h has C / 8. Its mean and mean
    square follow from h alone: w̄·h̄ + b̄, and the mean of hᵀ G h + 2 hᵀ Wᵀ b / 2C + b² with
    G = Wᵀ W / 2C. So the large product need not be read again for its norm.
    """
    if "6.scale" not in layer:
        raise CannotBuild("its residual branches are not those of htdemucs")
    axes = (1, len(ov.shape(x)) - 1)
    h = _dilated_convolution(x, layer.at(0), step, type_)
    h = ov.gelu(_group_norm(h, layer.at(1), axes, type_))
    second = layer.at(3)
    weight, bias = second["weight"][:, :, 0], second["bias"]
    w, b = weight.astype(np.float64), bias.astype(np.float64)
    # times the width of h: the mean is over h's channels, and G needs their sum
    square = (w.T @ w / len(w) * w.shape[1]).astype(np.float32)
    sums = np.stack([w.mean(0), 2 * w.T @ b / len(w)]).astype(np.float32)
    constants = np.array([b.mean(), (b**2).mean()], np.float32)
    found = ov.linear(ov.mean(h, [1]), sums, constants, ov.F32)
    last = axes[1]
    mean, rest = ov.cut(found, last, 0, 1), ov.cut(found, last, 1, 2)
    squares = ov.multiply(ov.linear(h, square, None, type_), h)
    variance = ov.subtract(ov.add(ov.mean(squares, axes), rest), ov.multiply(mean, mean))
    r = ov.inverse_root(variance, _NORM_EPS)
    gain, offset = layer.at(4)["weight"], layer.at(4)["bias"]
    products = zip(np.split(gain[:, None] * weight, 2), np.split(gain * bias, 2), strict=True)
    norms = zip(np.split(gain, 2), np.split(offset, 2), strict=True)
    value, gate = (
        ov.add(ov.multiply(ov.subtract(ov.linear(h, *product, type_), ov.multiply(mean, g)), r), o)
        for product, (g, o) in zip(products, norms, strict=True)
    )
    return ov.add(x, ov.gated(ov.multiply(value, layer.at(6)["scale"]), gate))


def _dilated_convolution(x: Tensor, layer: Tensors, step: int, type_: Any) -> Tensor:
    """Return the shifted sum of one product for all taps."""
    weight = layer["weight"]  # [hidden, channels, taps]
    hidden, _, taps = weight.shape
    reach, frames = taps // 2 * step, ov.shape(x)[1]
    stacked = weight.transpose(2, 0, 1).reshape(taps * hidden, -1)
    y = ov.pad(ov.linear(x, stacked, None, type_), 1, reach, reach)
    last = len(ov.shape(x)) - 1
    total: Tensor | None = None
    for tap in range(taps):
        shifted = ov.cut(y, 1, tap * step, tap * step + frames)
        channels = ov.cut(shifted, last, tap * hidden, (tap + 1) * hidden)
        total = ov.add(channels, layer["bias"] if total is None else total)
    return total


def _group_norm(h: Tensor, norm: Tensors, axes: tuple[int, int], type_: Any) -> Tensor:
    mean, square = ov.mean(h, axes), ov.mean(ov.multiply(h, h), axes)
    r = ov.inverse_root(ov.subtract(square, ov.multiply(mean, mean)), _NORM_EPS)
    y = ov.multiply(ov.subtract(h, mean), r)
    return ov.convert(ov.add(ov.multiply(y, norm["weight"]), norm["bias"]), type_)


def _flat_kernel(weight: Floats) -> Floats:
    return weight.reshape(*weight.shape[:2], -1)
