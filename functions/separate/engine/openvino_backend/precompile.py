"""Compile an exported model for this kind of processor, for images and volumes.

    python -m functions.separate.engine.openvino_backend.precompile FOLDER

The result lies in FOLDER/compiled. Another kind of processor compiles the model again, into
MODELS_CACHE. OpenVINO identifies a compiled network by the path and modification time of the
exported file, so a copy must keep both.
"""

import argparse
import sys
from pathlib import Path

from functions.separate.engine.openvino_backend import exported_model


def main() -> None:
    """Compile the model and print the compiled files, or exit with one line that says why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of a model, with exported.json")
    folder = parser.parse_args().folder.resolve()
    exported = exported_model.find(folder)
    if not exported:
        sys.exit(f"{folder} has no exported model; `make models MODEL={folder.name}` makes one")
    compiled = folder / exported_model.COMPILED
    try:
        exported_model.load(folder.name, exported, cache=compiled)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{folder} cannot be compiled: {error}")
    for file in sorted(compiled.iterdir()):
        file.chmod(0o644)  # OpenVINO writes it for its own user only
        print(file)


if __name__ == "__main__":
    main()
