"""Write a model of htdemucs' size with random weights, once.

python -m testing.cluster.full_model FOLDER
"""

import sys
from pathlib import Path

from functions.separate.engine.torch_backend.convert import write_network
from testing.random_network import random_network


def main(folder: Path) -> None:
    """Write the model into `folder`, unless it is already there."""
    file = folder / "random.safetensors"
    if file.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    write_network(random_network().half().float(), partial)  # rounded, as released weights are
    partial.rename(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
