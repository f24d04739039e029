"""Read a network's file as demucs publishes it: safetensors, with its class and arguments.

microdemucs.models.weights_header describes the metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from functions.separate.engine import CannotBuild, Floats, UnusableWeights
from microdemucs.models.weights_header import NetworkHeader, parse_metadata


class Tensors:
    """The tensors whose names begin with a prefix, by the rest of their names, as float32."""

    def __init__(self, tensors: Mapping[str, Any], prefix: str = "") -> None:
        self._tensors = tensors
        self._prefix = prefix

    def at(self, name: str | int) -> "Tensors":
        """Return the tensors of the part `name`."""
        return Tensors(self._tensors, f"{self._prefix}{name}.")

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors

    def __getitem__(self, name: str) -> Floats:
        """Return a tensor. Raises CannotBuild if the file has none of this name."""
        try:
            return np.asarray(self._tensors[self._prefix + name], np.float32)
        except KeyError as error:
            raise CannotBuild(f"it has no tensor {self._prefix + name}") from error


@dataclass(frozen=True)
class NetworkFile(NetworkHeader):
    """A network's class, its arguments, and its tensors."""

    tensors: Tensors


def read_network_file(path: Path) -> NetworkFile:
    """Read a .safetensors file. Raises UnusableWeights, and CannotBuild for quantized weights."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise UnusableWeights(f"{path.name} is no readable safetensors file: {error}") from error
    header = parse_metadata(path.name, metadata)
    if header.is_quantized:
        raise CannotBuild("its weights are quantized")
    return NetworkFile(header.class_name, header.positional, header.keywords, Tensors(tensors))
