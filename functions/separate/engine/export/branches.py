"""The convolutions of HTDemucs' two branches as matrix products, with the channels last.

The spectrogram's branch has tensors [1, frames, bins, channels], the wave's branch
[1, samples, channels]. Frames or samples are axis 1; strides go along the last axis but one.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class NotExportable(ValueError):
    """A network cannot be exported. The text gives the reason."""


class Encoder(nn.Module):
    """demucs.hdemucs.HEncLayer without norms: [1, …, n, in] → [1, …, ⌈n / stride⌉, out]."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.strided = _StridedConvolution(layer.conv)
        self.residual = _residuals(layer)
        self.gated = _gated(layer.rewrite)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.gated(self.residual(functional.gelu(self.strided(x))))
        return y


class Decoder(nn.Module):
    """demucs.hdemucs.HDecLayer without norms: [1, …, n, in] → [1, …, length, out].

    `skip` is the output of the encoder at the same depth, `length` the number of bins or samples
    that its input had.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.gated = _gated(layer.rewrite)
        self.residual = _residuals(layer)
        self.transposed = _TransposedConvolution(layer.conv_tr)
        self.last = layer.last

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        y: Tensor = self.transposed(self.residual(self.gated(x + skip)), length)
        return y if self.last else functional.gelu(y)


class _StridedConvolution(nn.Module):
    """A convolution with kernel 2 s and stride s along the last axis but one.

    Rows are blocks of s samples. Each output is the product of a block and its successor.
    """

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        weight = convolution.weight.data.flatten(2)  # [out, in, kernel]
        self.stride = weight.shape[-1] // 2
        self.weight = nn.Parameter(weight.permute(0, 2, 1).reshape(len(weight), -1).contiguous())
        self.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        *before, n, channels = x.shape
        half, short = self.stride // 2, -n % self.stride
        x = functional.pad(x, (0, 0, half, half + short))
        blocks = x.reshape(*before, -1, self.stride * channels)
        pairs = torch.cat([blocks[..., :-1, :], blocks[..., 1:, :]], -1)
        return functional.linear(pairs, self.weight, self.bias)


class _TransposedConvolution(nn.Module):
    """A transposed convolution with kernel 2 s and stride s, trimmed to `length` outputs."""

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        weight = convolution.weight.data.flatten(2).permute(2, 1, 0)  # [kernel, out, in]
        self.stride, self.out = weight.shape[0] // 2, weight.shape[1]
        first, second = weight.reshape(2, self.stride * self.out, -1)
        self.weight = nn.Parameter(torch.cat([second, first], -1).contiguous())
        self.bias = nn.Parameter(convolution.bias.data.repeat(self.stride))

    def forward(self, x: Tensor, length: int) -> Tensor:
        x = functional.pad(x, (0, 0, 1, 1))
        pairs = torch.cat([x[..., :-1, :], x[..., 1:, :]], -1)
        blocks = functional.linear(pairs, self.weight, self.bias)
        samples = blocks.reshape(*blocks.shape[:-2], -1, self.out)
        return samples[..., self.stride // 2 : self.stride // 2 + length, :]


class _GatedPointwise(nn.Module):
    """A convolution of width 1 and its GLU, with one product for the value, one for the gate."""

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        weight, bias = convolution.weight.data.flatten(1), convolution.bias.data
        self.value, self.gate = (linear(*half) for half in _halves(weight, bias))

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.value(x)
        return value * torch.sigmoid(self.gate(x))


class _GatedConvolution(nn.Module):
    """A wider convolution and its GLU, along time and frequency or along time.

    A convolution along time becomes one along both, with a single bin. For a convolution along
    one axis OpenVINO would put the channels first, and last again.
    """

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        weight, bias = convolution.weight.data, convolution.bias.data
        is_2d = isinstance(convolution, nn.Conv2d)
        weight = weight.transpose(2, 3) if is_2d else weight[..., None]  # frames before bins
        self.value, self.gate = (_convolution(*half) for half in _halves(weight, bias))

    def forward(self, x: Tensor) -> Tensor:
        channels_first = x.reshape(1, x.shape[1], -1, x.shape[-1]).permute(0, 3, 1, 2)
        y: Tensor = self.value(channels_first) * torch.sigmoid(self.gate(channels_first))
        return y.permute(0, 2, 3, 1).reshape(x.shape)


class _ResidualLayer(nn.Module):
    """One residual layer of demucs.demucs.DConv, along axis 1.

    The second group norm is over the 2 C channels of W h + b, where h has C / 8. Its mean and mean
    square follow from h alone: w̄·h̄ + b̄, and the mean of hᵀ G h + 2 hᵀ Wᵀ b / 2C + b² with
    G = Wᵀ W / 2C. So the large product need not be read again for its norm.
    """

    square: Tensor
    linear: Tensor
    constant: Tensor
    value_gain: Tensor
    value_offset: Tensor
    gate_gain: Tensor
    gate_offset: Tensor

    def __init__(self, layer: Any) -> None:
        super().__init__()
        first, norm, _, second, norm2, _, scale = layer
        self.taps, self.step = first.kernel_size[0], first.dilation[0]
        weight = first.weight.data  # [hidden, channels, taps]
        self.hidden = len(weight)
        self.weight = nn.Parameter(weight.permute(2, 0, 1).flatten(0, 1).contiguous())
        self.bias = first.bias
        self.norm, self.eps = norm, norm2.eps
        w, b = second.weight.data[:, :, 0].double(), second.bias.data.double()
        # times `hidden`: forward takes the mean over h's channels, and G needs their sum
        self.register_buffer("square", (w.T @ w / len(w) * self.hidden).float())
        self.register_buffer("linear", torch.stack([w.mean(0), 2 * w.T @ b / len(w)]).float())
        self.register_buffer("constant", torch.stack([b.mean(), (b**2).mean()]).float())
        gain, offset = norm2.weight.data, norm2.bias.data
        halves = _halves(gain[:, None] * w.float(), gain * b.float())
        self.value, self.gate = (linear(*half) for half in halves)
        for name, (g, o) in zip(("value", "gate"), _halves(gain, offset), strict=True):
            self.register_buffer(f"{name}_gain", g.clone())
            self.register_buffer(f"{name}_offset", o.clone())
        self.scale = scale.scale

    def forward(self, x: Tensor) -> Tensor:
        frames, axes = x.shape[1], (1, x.dim() - 1)
        h = functional.gelu(self._group_norm(self._dilated_convolution(x, frames), axes))
        sums = functional.linear(h.mean(1, keepdim=True), self.linear, self.constant)
        mean, rest = sums[..., :1], sums[..., 1:]
        square = (functional.linear(h, self.square) * h).mean(axes, keepdim=True) + rest
        r = torch.rsqrt(square - mean * mean + self.eps)
        value = (self.value(h) - mean * self.value_gain) * r + self.value_offset
        gate = (self.gate(h) - mean * self.gate_gain) * r + self.gate_offset
        y: Tensor = x + self.scale * value * torch.sigmoid(gate)
        return y

    def _dilated_convolution(self, x: Tensor, frames: int) -> Tensor:
        """One product for all taps, and their shifted sum."""
        reach = self.taps // 2 * self.step
        y = functional.linear(x, self.weight)
        y = functional.pad(y, (0, 0) * (x.dim() - 2) + (reach, reach))
        total: Tensor = self.bias
        for tap in range(self.taps):
            begin = tap * self.step
            channels = slice(tap * self.hidden, (tap + 1) * self.hidden)
            total = y[:, begin : begin + frames, ..., channels] + total
        return total

    def _group_norm(self, h: Tensor, axes: tuple[int, int]) -> Tensor:
        mean, square = h.mean(axes, keepdim=True), (h * h).mean(axes, keepdim=True)
        r = torch.rsqrt(square - mean * mean + self.norm.eps)
        y: Tensor = (h - mean) * r * self.norm.weight + self.norm.bias
        return y


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return the layer x → weight x + bias, with `weight` [out, in]."""
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
    return layer


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    size = (weight.shape[2], weight.shape[3])
    layer = nn.Conv2d(weight.shape[1], len(weight), size, padding=(size[0] // 2, size[1] // 2))
    layer.weight.data, layer.bias.data = weight.clone(), bias.clone()  # type: ignore[union-attr]
    return layer


def _gated(convolution: Any) -> nn.Module:
    is_pointwise = convolution.weight[0, 0].numel() == 1
    return _GatedPointwise(convolution) if is_pointwise else _GatedConvolution(convolution)


def _residuals(layer: Any) -> nn.Module:
    if not layer.dconv:
        return nn.Identity()
    layers = layer.dconv.layers
    if any(len(residual) != 7 or isinstance(residual[1], nn.Identity) for residual in layers):
        raise NotExportable("its residual branches are not those of htdemucs")
    return nn.Sequential(*(_ResidualLayer(residual) for residual in layers))


def _halves(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Split each tensor as a GLU does: all first halves (values), all second halves (gates)."""
    return list(zip(*(tensor.chunk(2) for tensor in tensors), strict=True))
