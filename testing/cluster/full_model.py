"""Export a model of htdemucs' size with random weights, once.

python -m testing.cluster.full_model FOLDER
"""

import sys
from pathlib import Path

from functions.separate.engine.export.exporter import export
from functions.separate.engine.openvino_backend import exported_model
from testing.random_network import random_network


def main(folder: Path) -> None:
    """Export the model into `folder`, unless it is already there."""
    if exported_model.find(folder):
        return
    network = random_network().half().float()  # rounded, as released weights are
    export(network, "random", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
