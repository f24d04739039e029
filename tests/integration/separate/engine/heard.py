"""The same mix through our overlap-add and through demucs' own."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from demucs.apply import apply_model
from torch import nn

from functions.separate.engine import Model, overlap_add
from functions.separate.engine.overlap_add import Plan
from functions.separate.engine.torch_engine import model_of

SEGMENT = int(3.9 * 44_100)
"""Of the bundled model, in samples."""
STRIDE = int(0.75 * SEGMENT)


def reader(mix: np.ndarray) -> Callable[[int, int], np.ndarray]:
    """What reads [2, n] of the normalised `mix`, 0 outside of it."""

    def read(start: int, stop: int) -> np.ndarray:
        outside = (max(0, -start), max(0, stop - max(mix.shape[1], start)))
        return np.pad(mix[:, max(0, start) : max(0, stop)], ((0, 0), outside))

    return read


def ours(heard_by: Model | nn.Module, mix: np.ndarray, *cuts: int, **options) -> np.ndarray:
    """[sources, 2, n] of the normalised `mix` [2, n].

    With `cuts`, numbers of windows, each range between two of them is separated by itself.
    """
    model = heard_by if isinstance(heard_by, Model) else model_of("tested", heard_by)
    plan = Plan.of(model, mix.shape[1], **options)
    parts = [slice(*edges) for edges in pairwise([0, *cuts, len(plan.windows)])]
    results = [list(overlap_add.separate(plan, reader(mix), lambda share: None, p)) for p in parts]
    return np.concatenate(list(overlap_add.joined(plan, parts, results)), -1)


def theirs(network: nn.Module, mix: np.ndarray, **options) -> np.ndarray:
    """What demucs.apply.apply_model gives."""
    with torch.inference_mode():
        return apply_model(network, torch.from_numpy(mix)[None], **options)[0].numpy()
