"""ema.pt → htdemucs_tiny.safetensors, float16, as demucs.hf.load_safetensors_model reads it."""

import json

import torch
from demucs.hf import load_safetensors_model
from network import ARGUMENTS, SEGMENT
from safetensors.torch import save_file

INTO = "htdemucs_tiny.safetensors"


def main() -> None:
    """Write the file, and load it once."""
    state = torch.load("ema.pt")
    halved = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in state.items()
    }
    fraction = {"numerator": SEGMENT.numerator, "denominator": SEGMENT.denominator}
    arguments = ARGUMENTS | {"segment": {"_type": "fraction"} | fraction}
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps(arguments),
    }
    save_file(halved, INTO, metadata=metadata)
    parameters = sum(one.numel() for one in load_safetensors_model(INTO).parameters())
    print(INTO, parameters, "parameters")


if __name__ == "__main__":
    main()
