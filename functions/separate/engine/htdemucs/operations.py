"""Operations of OpenVINO's opset 15, as the network's layers need them.

A tensor is the output of a node. Each tensor has its precision: f32, or bf16 where the network is
built for a processor that multiplies bf16. The CPU plugin computes an operation in the precision of
its tensors, and fuses a product with the bias, the activation and the sum that follow it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
from openvino import op, opset15

from functions.separate.engine import Floats

F32, BF16 = openvino.Type.f32, openvino.Type.bf16
Tensor = Any
"""openvino.Node, whose first output is meant."""


def shape(x: Tensor) -> list[int]:
    """Return the tensor's shape; all shapes of the network are known."""
    return list(x.output(0).get_shape())


def precision(x: Tensor) -> Any:
    """Return the tensor's element type."""
    return x.output(0).get_element_type()


def constant(values: Floats | np.floating[Any], type_: Any) -> Tensor:
    """Return a constant; in bf16 it is rounded to the nearest value, ties to even."""
    values = np.asarray(values, np.float32, order="C")
    if type_ == F32:
        return op.Constant(values)
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    halves = np.asarray(rounded >> np.uint32(16), np.uint16)
    # OpenVINO's own conversion cuts the lower bits off, and is slow
    return op.Constant(openvino.Tensor(halves, openvino.Shape(values.shape), BF16), False)


def convert(x: Tensor, type_: Any) -> Tensor:
    """Return the tensor in another precision."""
    return x if precision(x) == type_ else opset15.convert(x, type_)


def linear(x: Tensor, weight: Floats, bias: Floats | None, type_: Any) -> Tensor:
    """Return weight x + bias over the last axis, in precision `type_`; `weight` is [out, in]."""
    y = opset15.matmul(convert(x, type_), constant(weight, type_), False, True)
    return y if bias is None else opset15.add(y, constant(bias, type_))


def convolution(x: Tensor, weight: Floats, bias: Floats, pads: list[int], type_: Any) -> Tensor:
    """Return a convolution of [1, in, h, w]; `weight` is [out, in, kh, kw].

    `pads` are the numbers of zeros before and after, along h and along w.
    """
    y = opset15.convolution(convert(x, type_), constant(weight, type_), [1, 1], pads, pads, [1, 1])
    return opset15.add(y, constant(bias.reshape(1, -1, 1, 1), type_))


def gelu(x: Tensor) -> Tensor:
    """Return the exact GELU."""
    return opset15.gelu(x, "erf")


def gated(value: Tensor, gate: Tensor) -> Tensor:
    """Return value · sigmoid(gate), a GLU."""
    return opset15.multiply(value, opset15.sigmoid(gate))


def add(x: Tensor, y: Tensor | Floats) -> Tensor:
    """Return the sum, in the precision of `x`."""
    return opset15.add(x, _like(y, x))


def multiply(x: Tensor, y: Tensor | Floats) -> Tensor:
    """Return the product element by element, in the precision of `x`."""
    return opset15.multiply(x, _like(y, x))


def subtract(x: Tensor, y: Tensor | Floats) -> Tensor:
    """Return the difference, in the precision of `x`."""
    return opset15.subtract(x, _like(y, x))


def normalize(x: Tensor, axes: Sequence[int], gain: Floats, offset: Floats, eps: float) -> Tensor:
    """Return a layer norm over these axes."""
    y = opset15.mvn(x, np.array(axes, np.int64), True, eps, "inside_sqrt")
    return add(multiply(y, gain), offset)


def mean(x: Tensor) -> Tensor:
    """Return the mean over axis 1 and the channels, which stay with length 1, in f32."""
    width = shape(x)[-1]
    return linear(mean_over_time(x), np.full((1, width), 1 / width, np.float32), None, F32)


def mean_over_time(x: Tensor) -> Tensor:
    """Return the mean over axis 1, which stays with length 1, in f32.

    OpenVINO's means take half the time in f32, and a third along a single axis.
    """
    return opset15.reduce_mean(convert(x, F32), np.array([1], np.int64), keep_dims=True)


def inverse_root(x: Tensor, eps: float) -> Tensor:
    """Return 1 / √(x + eps) of a variance, which rounding may have made negative."""
    positive = opset15.maximum(x, constant(np.zeros(1, np.float32), precision(x)))
    return opset15.power(add(positive, np.float32(eps)), constant(np.float32(-0.5), precision(x)))


def reshape(x: Tensor, new_shape: Sequence[int]) -> Tensor:
    """Return the tensor with another shape; one length may be -1."""
    return opset15.reshape(x, np.array(new_shape, np.int64), special_zero=False)


def transpose(x: Tensor, order: Sequence[int]) -> Tensor:
    """Return the tensor with its axes in this order."""
    return opset15.transpose(x, np.array(order, np.int64))


def pad(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Return the tensor with zeros before and after along `axis`."""
    begin, end = np.zeros((2, len(shape(x))), np.int64)
    begin[axis], end[axis] = before, after
    return opset15.pad(x, begin, end, "constant", constant(np.zeros((), np.float32), precision(x)))


def cut(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Return the tensor from `start` to `stop` along `axis`."""
    bounds = [np.array([bound], np.int64) for bound in (start, stop, 1, axis)]
    return opset15.slice(x, *bounds)


def concatenate(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Return the tensors one after the other along `axis`."""
    return opset15.concat(list(tensors), axis)


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return softmax(query keyᵀ / √width) value for each head: [1, heads, n, width]."""
    return opset15.scaled_dot_product_attention(query, key, value, causal=False)


def _like(y: Tensor | Floats, x: Tensor) -> Tensor:
    if isinstance(y, np.ndarray | np.floating | float):
        return constant(np.asarray(y, np.float32), precision(x))
    return convert(y, precision(x))
