"""Measure the peak performance of the cores: FLOP/s of large matrix products and convolutions.

    python -m benchmarks.peak

It prints JSON, the best of several runs: {"f32": {"gemm": …, "conv": …}, "bf16": …}. OpenVINO runs
them as chains, so that intermediate results keep the layout that suits the cores. On the AMD
machine its f32 products were twice as fast as torch's, which uses Intel's MKL.
"""

import json
import time
from functools import reduce

import numpy as np
from numpy.typing import NDArray

# imported before openvino: it switches OpenVINO's telemetry off
from functions.separate.engine.openvino_backend.processor import precisions  # isort: skip
import openvino as ov  # isort: skip
from openvino import opset13 as ops  # isort: skip

_LAYERS, _TRIES = 8, 8
_SIDE = 2048
# like the encoder's: 384 channels, 3 x 3, on an image of 64 x 336
_CHANNELS, _IMAGE = 384, (64, 336)


def main() -> None:
    """Measure both in each precision."""
    measured = {
        precision: {"gemm": _gemm(precision), "conv": _conv(precision)}
        for precision in precisions()
    }
    print(json.dumps(measured))


def _gemm(precision: str) -> float:
    mix = ops.parameter([_SIDE, _SIDE])
    weights = [_random(_SIDE, _SIDE) for _ in range(_LAYERS)]
    chain = reduce(lambda x, weight: ops.matmul(x, weight, False, False), weights, mix)
    return 2 * _SIDE**3 * _LAYERS / _fastest(ov.Model([chain], [mix]), precision)


def _conv(precision: str) -> float:
    height, width = _IMAGE
    mix = ops.parameter([1, _CHANNELS, height, width])
    weights = [_random(_CHANNELS, _CHANNELS, 3, 3) for _ in range(_LAYERS)]
    ones = [1, 1]
    chain = reduce(lambda x, w: ops.convolution(x, w, ones, ones, ones, ones), weights, mix)
    products = _CHANNELS**2 * 9 * height * width * _LAYERS
    return 2 * products / _fastest(ov.Model([chain], [mix]), precision)


def _random(*shape: int) -> NDArray[np.float32]:
    """Return weights that keep a signal's level."""
    weights = np.random.default_rng(1).standard_normal(shape, np.float32)
    weights /= np.sqrt(np.float32(weights[0].size))
    return weights


def _fastest(model: ov.Model, precision: str) -> float:
    """Return the shortest time in s."""
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(model, "CPU", hints)
    mix = _random(*compiled.input(0).shape)
    best = float("inf")
    for _ in range(_TRIES):
        began = time.perf_counter()
        compiled(mix)
        best = min(best, time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main()
