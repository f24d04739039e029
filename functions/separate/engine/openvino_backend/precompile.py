"""Compile an exported model for this kind of processor, once, beside itself: for images, volumes.

    python -m functions.separate.engine.openvino_backend.precompile FOLDER

Another kind of processor compiles it again and keeps that in MODELS_CACHE. OpenVINO knows a
compiled network by the exported file's path and time of change: a copy must keep both.
"""

import argparse
import sys
from pathlib import Path

from functions.separate.engine.openvino_backend import exported_model


def main() -> None:
    """Compile, or end with one line that says why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a model, with its exported_model.json")
    folder = parser.parse_args().folder.resolve()
    form = exported_model.find(folder)
    if not form:
        sys.exit(f"{folder} holds no exported model: `make models MODEL={folder.name}` makes one")
    try:
        exported_model.load(folder.name, form, cache=folder / exported_model.COMPILED)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{folder} cannot be compiled: {error}")
    for file in sorted((folder / exported_model.COMPILED).iterdir()):
        file.chmod(0o644)  # OpenVINO makes it for its own user
        print(file)


if __name__ == "__main__":
    main()
