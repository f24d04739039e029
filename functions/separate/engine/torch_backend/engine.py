"""The torch engine: runs any demucs model, on a CPU or on CUDA."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.repo import LocalRepo

from functions.separate.engine import SAMPLE_RATE, Engine, Floats, Model, Seconds, UnusableWeights
from functions.separate.engine.bag import read_bag
from functions.separate.engine.cores import cores


class TorchEngine:
    """One demucs network (Demucs, HDemucs or HTDemucs)."""

    concurrency = 1  # torch uses all cores for one window

    def __init__(self, network: Any) -> None:
        self._device = "cuda" if has_cuda() else "cpu"
        self._network = network.to(self._device).eval().requires_grad_(False)

    @property
    def segment(self) -> Seconds:
        """The default length of a segment: the one that the network was trained on."""
        segment: Seconds = self._network.segment
        return segment

    @property
    def max_segment(self) -> float:
        """The longest segment, in seconds: only a transformer has a limit."""
        return float(self.segment) if isinstance(self._network, HTDemucs) else math.inf

    def input_length(self, n: int, segment: Seconds) -> int:
        """Return how many samples `separate` needs, as demucs.apply.apply_model does."""
        if segment and isinstance(self._network, HTDemucs):
            return int(segment * SAMPLE_RATE)
        return self._network.valid_length(n) if hasattr(self._network, "valid_length") else n

    def separate(self, mix: Floats) -> Floats:
        """Separate a normalized mix [2, n] into [sources, 2, n]. Raises MemoryError."""
        try:
            with torch.inference_mode():
                batch = torch.from_numpy(np.ascontiguousarray(mix))[None].to(self._device)
                estimate: Floats = self._network(batch)[0].float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # torch's allocator on the CPU
                raise MemoryError(str(error)) from error
            raise
        return estimate


def has_cuda() -> bool:
    """Return whether torch can use a GPU."""
    return torch.cuda.is_available()


def load(name: str, weights: Path, note: str = "") -> Model:
    """Load the model `name` with `load_network`. Raises UnusableWeights."""
    return model_of(name, load_network(name, weights), note)


def load_network(name: str, weights: Path) -> Any:
    """Return demucs' own network or BagOfModels, from a file or folder.

    A folder holds weights and, for an ensemble, demucs' list `<name>.yaml`. Weights in .th files
    are pickles, which can run code: `weights` must be under the operator's control. Raises
    UnusableWeights.
    """
    if "OMP_NUM_THREADS" not in os.environ:  # torch follows that one by itself
        torch.set_num_threads(cores())
    try:
        return _load_folder(weights, name) if weights.is_dir() else _load_file(weights)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # pickles and demucs raise anything
        raise UnusableWeights(f"{type(error).__name__}: {error}") from error


def model_of(name: str, network: Any, note: str = "") -> Model:
    """Return a demucs network or BagOfModels as a model. Raises UnusableWeights."""
    if (network.samplerate, network.audio_channels) != (SAMPLE_RATE, 2):
        raise UnusableWeights(
            f"made for {network.audio_channels} channels at {network.samplerate} Hz"
        )
    bag = network if isinstance(network, BagOfModels) else BagOfModels([network])
    engines: tuple[Engine, ...] = tuple(TorchEngine(member) for member in bag.models)
    return Model(name, tuple(bag.sources), engines, bag.weights, note)


def _load_folder(folder: Path, name: str) -> Any:
    bag = read_bag(folder, name)
    described = bag.description
    segment = float(described.segment) if described.segment else None
    return BagOfModels([_load_file(file) for file in bag.files], described.weights, segment)


def _load_file(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return load_safetensors_model(file)
    return LocalRepo(file.parent).get_model(file.stem.rsplit("-", 1)[0])
