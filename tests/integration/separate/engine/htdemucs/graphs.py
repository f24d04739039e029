"""Run parts of a network that OpenVINO would run, on arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino
from openvino import opset15
from torch import nn

from functions.separate.engine import Floats
from functions.separate.engine.htdemucs.weights import Tensors
from functions.separate.engine.openvino_backend.compile import compile_stages


def tensors_of(module: nn.Module) -> Tensors:
    """Return the tensors of a module of torch, as its file would have them."""
    return Tensors({name: value.numpy() for name, value in module.state_dict().items()})


def run(build: Callable[..., Any], *arrays: Floats) -> list[Floats]:
    """Build a graph with inputs of these arrays' shapes, and return its outputs for the arrays."""
    inputs = [opset15.parameter(list(array.shape), openvino.Type.f32) for array in arrays]
    outputs = build(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    [compiled] = compile_stages([openvino.Model(outputs, inputs)])
    results = compiled([np.ascontiguousarray(array) for array in arrays])
    return [results[index] for index in range(len(outputs))]
