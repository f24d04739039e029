"""Convert ema.pt to htdemucs_tiny.safetensors: float16, for demucs.hf.load_safetensors_model."""

import json

import torch
from demucs.hf import load_safetensors_model
from network import ARGUMENTS, SEGMENT
from safetensors.torch import save_file

FILE = "htdemucs_tiny.safetensors"


def main() -> None:
    """Write the file, and load it to check it."""
    state = torch.load("ema.pt")
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    fraction = {"numerator": SEGMENT.numerator, "denominator": SEGMENT.denominator}
    arguments = ARGUMENTS | {"segment": {"_type": "fraction"} | fraction}
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps(arguments),
    }
    save_file(tensors, FILE, metadata=metadata)
    parameters = sum(tensor.numel() for tensor in load_safetensors_model(FILE).parameters())
    print(FILE, parameters, "parameters")


if __name__ == "__main__":
    main()
