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
    y = _strided_convolution(x, layer.at("conv"), type_)
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
    """Return the GELU of a convolution with kernel 2 s and stride s along the last axis but one.

    Rows are blocks of s samples. Each output is the product of a block and its successor.
    """
    weight = _flat_kernel(layer["weight"])  # [out, in, kernel]
    out, _, kernel = weight.shape
    stride = kernel // 2
    *before, n, channels = ov.shape(x)
    half, short = stride // 2, -n % stride
    padded = ov.pad(ov.convert(x, type_), len(before), half, half + short)
    blocks = ov.reshape(padded, [*before, -1, stride * channels])
    by_sample = weight.reshape(out, channels, 2, stride).transpose(0, 3, 1, 2)
    y = _pair_convolution(blocks, by_sample.reshape(out, -1, 2), layer["bias"], 0, type_)
    # before the channels are last again: OpenVINO fuses it with the convolution
    return _channels_last(ov.gelu(y), x)


def _transposed_convolution(x: Tensor, layer: Tensors, length: int, type_: Any) -> Tensor:
    """Return a transposed convolution with kernel 2 s, stride s and `length` outputs."""
    weight = _flat_kernel(layer["weight"]).transpose(2, 1, 0)  # [kernel, out, in]
    stride, out = weight.shape[0] // 2, weight.shape[1]
    first, second = weight.reshape(2, stride * out, -1)
    pairs = np.stack([second, first], -1)
    y = _pair_convolution(x, pairs, np.tile(layer["bias"], stride), 1, type_)
    *before, n, _ = ov.shape(x)
    samples = ov.reshape(_channels_last(y, x), [*before, (n + 1) * stride, out])
    return ov.cut(samples, len(before), stride // 2, stride // 2 + length)


def _pair_convolution(x: Tensor, weight: Floats, bias: Floats, padding: int, type_: Any) -> Tensor:
    """Return planes of the products of all neighbours along the last axis but one.

    `weight` is [out, in, 2]; `padding` is the number of zeros at both ends.
    """
    is_wave = len(ov.shape(x)) == 3
    kernel = weight[..., None] if is_wave else weight[:, :, None]
    pads = [padding, 0] if is_wave else [0, padding]
    return ov.convolution(_planes(x), kernel, bias, pads, type_)


def _gated(x: Tensor, layer: Tensors, type_: Any) -> Tensor:
    """Return a convolution and its GLU: one product for the value, one for the gate."""
    weight, bias = layer["weight"], layer["bias"]
    if weight[0, 0].size == 1:
        halves = zip(np.split(weight.reshape(len(weight), -1), 2), np.split(bias, 2), strict=True)
        return ov.gated(*(ov.linear(x, *half, type_) for half in halves))
    weight = weight.swapaxes(2, 3) if weight.ndim == 4 else weight[..., None]  # frames before bins
    pads = [size // 2 for size in weight.shape[2:]]
    planes = _planes(x)
    halves = zip(np.split(weight, 2), np.split(bias, 2), strict=True)
    y = ov.gated(*(ov.convolution(planes, *half, pads, type_) for half in halves))
    return _channels_last(y, x)


def _planes(x: Tensor) -> Tensor:
    """Return [1, channels, frames, bins], or [1, channels, samples, 1].

    OpenVINO convolves along two axes with the channels last in memory, so nothing moves. For a
    convolution along one axis it would put the channels first, and last again.
    """
    by_row = ov.reshape(x, [1, ov.shape(x)[1], -1, ov.shape(x)[-1]])
    return ov.transpose(by_row, [0, 3, 1, 2])


def _channels_last(planes: Tensor, x: Tensor) -> Tensor:
    """Return planes of the spectrogram or of the wave with as many axes as `x`, channels last."""
    y = ov.transpose(planes, [0, 2, 3, 1])
    return y if len(ov.shape(x)) == 4 else ov.reshape(y, [1, -1, ov.shape(y)[-1]])


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
    h = _dilated_convolution(x, layer.at(0), step, type_)
    h = ov.gelu(_group_norm(h, layer.at(1), type_))
    second = layer.at(3)
    weight, bias = second["weight"][:, :, 0], second["bias"]
    w, b = weight.astype(np.float64), bias.astype(np.float64)
    # times the width of h: the mean is over h's channels, and G needs their sum
    square = (w.T @ w / len(w) * w.shape[1]).astype(np.float32)
    sums = np.stack([w.mean(0), 2 * w.T @ b / len(w)]).astype(np.float32)
    constants = np.array([b.mean(), (b**2).mean()], np.float32)
    mean, rest = _two_columns(ov.linear(ov.mean_over_time(h), sums, constants, ov.F32))
    squares = ov.multiply(ov.linear(h, square, None, type_), h)
    variance = ov.subtract(ov.add(ov.mean(squares), rest), ov.multiply(mean, mean))
    r, mean_r = _two_columns(_inverse_deviation(mean, variance))
    norm, scale = layer.at(4), layer.at(6)["scale"]
    scales = np.concatenate([scale, np.ones_like(scale)])  # the gate has none
    gain, offset = scales * norm["weight"], scales * norm["bias"]
    value_and_gate = []
    for half in np.split(np.arange(len(w)), 2):
        y = ov.linear(h, gain[half, None] * weight[half], gain[half] * bias[half], type_)
        y = ov.multiply(ov.convert(y, ov.F32), r)
        y = ov.subtract(y, ov.multiply(mean_r, gain[half]))
        value_and_gate.append(ov.add(y, offset[half]))
    return ov.add(x, ov.gated(*value_and_gate))


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


def _group_norm(h: Tensor, norm: Tensors, type_: Any) -> Tensor:
    """Return a group norm with a single group over axis 1 and the channels."""
    mean, square = ov.mean(h), ov.mean(ov.multiply(h, h))
    inverse = _inverse_deviation(mean, ov.subtract(square, ov.multiply(mean, mean)))
    gain, zeros = norm["weight"], np.zeros_like(norm["weight"])
    # per bin and channel, so that OpenVINO processes bins and channels as one axis
    scale = ov.linear(inverse, np.stack([gain, zeros], -1), None, ov.F32)
    shift = ov.linear(inverse, np.stack([zeros, -gain], -1), norm["bias"], ov.F32)
    return ov.convert(ov.add(ov.multiply(ov.convert(h, ov.F32), scale), shift), type_)


def _inverse_deviation(mean: Tensor, variance: Tensor) -> Tensor:
    """Return two columns: 1 / deviation, and mean / deviation.

    OpenVINO would fuse the root with what uses it, and compute it for each frame and channel. It
    does not fuse a concatenation.
    """
    r = ov.inverse_root(variance, _NORM_EPS)
    return ov.concatenate([r, ov.multiply(mean, r)], len(ov.shape(r)) - 1)


def _two_columns(x: Tensor) -> tuple[Tensor, Tensor]:
    last = len(ov.shape(x)) - 1
    return ov.cut(x, last, 0, 1), ov.cut(x, last, 1, 2)


def _flat_kernel(weight: Floats) -> Floats:
    return weight.reshape(*weight.shape[:2], -1)
