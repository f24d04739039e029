"""Any demucs model on torch, on the processor or on CUDA."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.pretrained import get_model
from demucs.repo import BagOnlyRepo, LocalRepo

from functions.separate.engine import SAMPLE_RATE, Engine, Floats, Model, Seconds, UnusableWeights
from functions.separate.engine.cores import cores
from functions.separate.engine.locate import bag_in


class TorchEngine:
    """One demucs network (Demucs, HDemucs or HTDemucs)."""

    parallel = 1  # torch has threads of its own

    def __init__(self, network: Any) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(self._device).eval().requires_grad_(False)

    @property
    def segment(self) -> Seconds:
        """How long a segment is where the options do not say."""
        segment: Seconds = self._network.segment
        return segment

    @property
    def longest(self) -> float:
        """A transformer takes what it was trained on, the older networks take any length."""
        return float(self.segment) if isinstance(self._network, HTDemucs) else math.inf

    def window(self, n: int, segment: Seconds) -> int:
        """As demucs.apply.apply_model has it where it does not split."""
        if segment and isinstance(self._network, HTDemucs):
            return int(segment * SAMPLE_RATE)
        return self._network.valid_length(n) if hasattr(self._network, "valid_length") else n

    def separate(self, mix: Floats) -> Floats:
        """[2, n] of the normalised mix → [sources, 2, n]. Raises MemoryError."""
        try:
            with torch.inference_mode():
                heard = torch.from_numpy(np.ascontiguousarray(mix))[None].to(self._device)
                estimate: Floats = self._network(heard)[0].float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # torch's own allocator on the processor
                raise MemoryError(str(error)) from error
            raise
        return estimate


def load(name: str, path: Path | None, note: str = "") -> Model:
    """The model `name` as `network` finds it. Raises UnusableWeights."""
    return model_of(name, network(name, path), note)


def network(name: str, path: Path | None) -> Any:
    """demucs' own object, from a file or folder, or by its own loader where `path` is None.

    A folder holds `<name>.yaml` (a bag, as demucs has it) and its weights, or weights only.
    Pickled weights (.th) run code as they are read: only for places the operator controls.
    Raises UnusableWeights.
    """
    if "OMP_NUM_THREADS" not in os.environ:  # torch itself follows that one
        torch.set_num_threads(cores())
    try:
        if path is None:
            return get_model(name)
        return _of_folder(path, name) if path.is_dir() else _of_file(path)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # pickles and demucs raise anything
        raise UnusableWeights(f"{type(error).__name__}: {error}") from error


def model_of(name: str, network: Any, note: str = "") -> Model:
    """A demucs network, or a bag of them, as a model. Raises UnusableWeights."""
    if (network.samplerate, network.audio_channels) != (SAMPLE_RATE, 2):
        raise UnusableWeights(
            f"made for {network.audio_channels} channels at {network.samplerate} Hz"
        )
    bag = network if isinstance(network, BagOfModels) else BagOfModels([network])
    engines: tuple[Engine, ...] = tuple(TorchEngine(one) for one in bag.models)
    return Model(name, tuple(bag.sources), engines, bag.weights, note)


class _Folder:
    """The weights in a folder by their names, as demucs.repo.BagOnlyRepo asks for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_model(self, signature: str) -> Any:
        tensors = self._folder / f"{signature}.safetensors"
        if tensors.exists():
            return load_safetensors_model(tensors)
        return LocalRepo(self._folder).get_model(signature)


def _of_folder(folder: Path, name: str) -> Any:
    bag = bag_in(folder, name)
    if bag:
        return BagOnlyRepo(folder, _Folder(folder)).get_model(bag.stem)  # type: ignore[arg-type]
    weights = [one for one in folder.iterdir() if one.suffix in (".safetensors", ".th")]
    if len(weights) != 1:
        raise UnusableWeights(f"the folder holds no .yaml, and {len(weights)} files of weights")
    return _of_file(weights[0])


def _of_file(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_safetensors_model(path)
    return LocalRepo(path.parent).get_model(path.stem.rsplit("-", 1)[0])
