"""The same mix through our overlap-add and through demucs' own."""

from collections.abc import Callable

import numpy as np
import torch
from demucs.apply import apply_model
from torch import nn

from functions.separate import overlap
from functions.separate.engine import Model
from functions.separate.engine.torch_engine import model_of
from functions.separate.overlap import Plan

SEGMENT = int(3.9 * 44_100)
"""Of the bundled model, in samples."""
STRIDE = int(0.75 * SEGMENT)


def reader(mix: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """What reads [2, n] of the normalised `mix`, 0 outside of it."""

    def read(start: int, stop: int) -> np.ndarray:
        outside = (max(0, -start), max(0, stop - max(mix.shape[1], start)))
        return np.pad(mix[:, max(0, start) : max(0, stop)], ((0, 0), outside))

    return read


def ours(
    heard_by: Model | nn.Module, mix: np.ndarray, part: slice = slice(None), **options
) -> np.ndarray:
    """[sources, 2, n] of the normalised `mix` [2, n], or of a range of its windows."""
    model = heard_by if isinstance(heard_by, Model) else model_of("tested", heard_by)
    plan = Plan.of(model, mix.shape[1], **options)
    blocks = overlap.separate(plan, reader(mix), lambda share: None, part)
    return np.concatenate(list(blocks), -1)


def ours_in_two(heard_by: Model | nn.Module, mix: np.ndarray) -> np.ndarray:
    """The same, from two ranges of windows added where they meet."""
    first, second = ours(heard_by, mix, slice(0, 2)), ours(heard_by, mix, slice(2, None))
    joined = np.zeros((*first.shape[:-1], mix.shape[1]), np.float32)
    joined[..., : first.shape[-1]] += first
    joined[..., mix.shape[1] - second.shape[-1] :] += second
    return joined


def theirs(network: nn.Module, mix: np.ndarray, **options) -> np.ndarray:
    """What demucs.apply.apply_model gives."""
    with torch.inference_mode():
        return apply_model(network, torch.from_numpy(mix)[None], **options)[0].numpy()
