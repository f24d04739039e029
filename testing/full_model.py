"""A model of htdemucs' own size with random weights, exported once and kept.

python -m testing.full_model FOLDER
"""

import sys
from pathlib import Path

from benchmarks.network import random_network
from functions.separate.engine.export.exporter import export
from functions.separate.engine.openvino_backend import exported_model


def main(folder: Path) -> None:
    """Export it into `folder`, unless it is there."""
    if exported_model.find(folder):
        return
    network = random_network().half().float()  # as released weights are kept
    export(network, "random", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
