"""Separate the same mix with this project's overlap-add and with demucs' own."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.states import get_state
from torch import nn

from functions.separate.engine import Floats, Model
from functions.separate.engine.locate import BUNDLED
from functions.separate.engine.overlap_add import Plan, join_ranges, separate_windows
from functions.separate.engine.torch_backend.engine import model_of
from microdemucs.paths import MODELS

SOURCES = ["drums", "bass", "other", "vocals"]
WEIGHTS = MODELS / BUNDLED / f"{BUNDLED}.safetensors"
"""The bundled model's."""
SEGMENT_S = 3.9
SEGMENT = int(SEGMENT_S * 44_100)
STRIDE = int(0.75 * SEGMENT)
"""Of the bundled model, in samples."""


def separate(network: Model | nn.Module, mix: Floats, *cuts: int, **options: Any) -> Floats:
    """Separate a normalized mix [2, n] into [sources, 2, n] with this project's overlap-add.

    `cuts` are numbers of windows. The ranges between them are separated by themselves and joined.
    """
    model = network if isinstance(network, Model) else model_of("tested", network)
    plan = Plan.of(model, mix.shape[1], **options)
    ranges = [slice(*edges) for edges in pairwise([0, *cuts, len(plan.windows)])]
    results = [
        list(separate_windows(plan, _reader(mix), lambda share: None, windows))
        for windows in ranges
    ]
    return np.concatenate(list(join_ranges(plan, ranges, results)), -1)


def separate_with_demucs(network: Any, mix: Floats, **options: Any) -> Floats:
    """Separate a normalized mix [2, n] into [sources, 2, n] with demucs.apply.apply_model."""
    with torch.inference_mode():
        separated: Floats = apply_model(network, torch.from_numpy(mix)[None], **options)[0].numpy()
    return separated


def decibels(found: Floats, expected: Floats) -> float:
    """Return the energy of the difference, relative to the expected signal's."""
    difference = np.sqrt(np.mean((found - expected) ** 2))
    signal = np.sqrt(np.mean(expected**2))
    return 20 * float(np.log10((difference + 1e-20) / (signal + 1e-20)))


def save_hdemucs(path: Path, samplerate: int = 44_100) -> None:
    """Write a small model of demucs' older architecture as one of demucs' .th files.

    Only torch can run it.
    """
    torch.manual_seed(0)
    _save(HDemucs(SOURCES, channels=4, samplerate=samplerate), path)


def save_htdemucs(path: Path) -> None:
    """Write the bundled model as one of demucs' .th files."""
    _save(load_safetensors_model(WEIGHTS), path)


def _save(network: Any, path: Path) -> None:
    arguments, options = network._init_args_kwargs
    package = {"klass": type(network), "args": arguments, "kwargs": options}
    path.parent.mkdir(exist_ok=True)
    state = get_state(network, None)
    torch.save(package | {"state": state}, path)


def _reader(mix: Floats) -> Callable[[int, int], Floats]:
    """Return a function that reads `mix`, with zeros outside of it."""

    def read(start: int, stop: int) -> Floats:
        outside = (max(0, -start), max(0, stop - max(mix.shape[1], start)))
        return np.pad(mix[:, max(0, start) : max(0, stop)], ((0, 0), outside))

    return read
