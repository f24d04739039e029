"""Download a model unless it is there, and export it to OpenVINO (`make models`).

    python models/prepare.py htdemucs

Without a name, the bundled model is exported again. Afterwards the folder models/<name>/ can be
copied to a machine without torch and network, or into the bucket of models.
"""

import argparse
import os
import sys
from pathlib import Path

from fetch import fetch

from functions.separate.engine import UnusableWeights, torch_engine
from functions.separate.engine.export.exporter import NotExportable, export
from functions.separate.engine.locate import BUNDLED, LocatedModel, find_in_folder
from functions.separate.engine.openvino_backend import exported_model
from microdemucs.paths import MODELS


def main() -> None:
    """Prepare the model and print what was done, or exit with one line that says what to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="", help="a model of demucs, or one of yours")
    parser.add_argument(
        "--into",
        type=Path,
        default=os.environ.get("MODELS_DIR") or MODELS,
        help="the folder of models (default: MODELS_DIR, or models/)",
    )
    arguments = parser.parse_args()
    if arguments.name:
        prepare(arguments.name, arguments.into)
    else:
        prepare(BUNDLED, MODELS, again=True)


def prepare(name: str, folder: Path, again: bool = False) -> None:
    """Prepare the model in the folder of models. With `again`, export it even if it is exported."""
    model = find_in_folder(folder, name)
    if not model:
        fetch(name, folder / name)
        model = LocatedModel(name, folder / name, folder / name)
    export_folder = model.export_folder or folder / name
    if not model.weights:
        print(f"{export_folder} has an exported model without its weights: nothing to do")
        return
    digest = model.digest()
    exported = exported_model.find(export_folder)
    if exported and exported.weights_digest == digest and not again:
        print(f"{export_folder} is complete")
        return
    try:
        network = torch_engine.load_network(name, model.weights)
        exported = export(network, digest, export_folder)
    except UnusableWeights as error:
        sys.exit(f"{model.weights} cannot be loaded: {error}")
    except NotExportable as error:
        print(f"{model.weights} cannot be exported and runs on torch only: {error}")
        return
    for exported_network in exported.networks:
        differences = ", ".join(
            f"{difference:.1f} dB from torch in {precision}"
            for precision, difference in exported_network.differences.items()
        )
        print(f"{', '.join(exported_network.stages)}: {differences}")
    print(export_folder)


if __name__ == "__main__":
    main()
