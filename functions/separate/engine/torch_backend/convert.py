"""Convert a model's pickles (.th) to safetensors, as demucs publishes them on the hub.

Needs torch and demucs, in a process of its own, so that torch never takes the server's memory.
"""

import fcntl
import json
import multiprocessing
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from pathlib import Path
from typing import Any

from functions.separate.engine import UnusableWeights
from functions.separate.engine.bag import Bag


def convert(bag: Bag, folder: Path) -> Bag:
    """Write each network of `bag` that is a pickle into `folder`, and return the bag with these.

    Several processes may do so at once. Raises UnusableWeights, OSError.
    """
    targets = {
        file: folder / f"{file.stem.split('-')[0]}.safetensors"
        for file in bag.files
        if file.suffix == ".th"
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [pair for pair in targets.items() if not pair[1].exists()]
        if missing:
            _convert_in_child(missing)
    return bag.with_files([targets.get(file, file) for file in bag.files])


def _convert_in_child(pairs: Sequence[tuple[Path, Path]]) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        try:
            reason = child.submit(_convert, pairs).result()
        except BrokenProcessPool as error:
            raise UnusableWeights("its conversion was killed: not enough memory?") from error
    if reason:
        raise UnusableWeights(reason)


def _convert(pairs: Sequence[tuple[Path, Path]]) -> str:
    """Return why a file cannot be read, or ""."""
    from functions.separate.engine.torch_backend.engine import load_network

    for pickle, target in pairs:
        try:
            network: Any = load_network(pickle.stem, pickle)
        except UnusableWeights as error:
            return str(error)
        partial = target.with_suffix(".partial")
        write_network(network, partial)
        shutil.move(partial, target)  # a half-written file is never used
    return ""


def write_network(network: Any, file: Path) -> None:
    """Write one of demucs' networks as a .safetensors file with its class and arguments.

    Tensors that fp16 can hold are written so, as demucs does.
    """
    import torch
    from safetensors.torch import save_file

    arguments, keywords = network._init_args_kwargs  # as demucs.states reads them
    kind = type(network)
    tensors = {
        key: half if torch.equal((half := value.half()).to(value.dtype), value) else value
        for key, value in network.state_dict().items()
    }
    save_file(
        {key: value.contiguous().clone() for key, value in tensors.items()},
        file,
        metadata={
            "klass": f"{kind.__module__}.{kind.__name__}",
            "args": json.dumps(arguments, default=_encode),
            "kwargs": json.dumps(keywords, default=_encode),
        },
    )
    file.chmod(0o644)  # safetensors makes it for its owner only, and pods have a user of their own


def _encode(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {
            "_type": "fraction",
            "numerator": value.numerator,
            "denominator": value.denominator,
        }
    raise TypeError(f"{value!r} cannot be written as JSON")
