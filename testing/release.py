"""A released model's repository, as demucs' tools/export_hf.py writes it, with any networks."""

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from demucs.states import get_state
from safetensors.torch import save

from functions.separate.engine.released_models import MODELS


def release(name: str, networks: Sequence[Any]) -> dict[str, bytes]:
    """Return the files of the repository of `name`, one of demucs' models, by their names.

    The weights are in float16, as demucs keeps them.
    """
    model = MODELS[name]
    files = {
        f"{name}.yaml": f"models: {list(model.networks)}\n".encode(),
        "README.md": f"# {name}\n".encode(),
    }
    for signature, network in zip(model.networks, networks, strict=True):
        arguments, keywords = network._init_args_kwargs
        metadata = {
            "klass": f"{type(network).__module__}.{type(network).__qualname__}",
            "args": json.dumps(arguments, default=_encode),
            "kwargs": json.dumps(keywords, default=_encode),
        }
        state = get_state(network, None, half=True)  # type: ignore[no-untyped-call]
        tensors = {key: value.contiguous() for key, value in state.items()}
        files[f"{signature}.safetensors"] = save(tensors, metadata)
        files[f"{signature}.json"] = json.dumps(metadata, indent=2).encode()
    return files


def _encode(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {
            "_type": "fraction",
            "numerator": value.numerator,
            "denominator": value.denominator,
        }
    return str(value)
