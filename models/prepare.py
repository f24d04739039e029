"""`make models`: fetch a model unless it is there, and export it: python models/prepare.py htdemucs

Without a name the bundled model is exported anew. What lies in models/<name>/ afterwards can be
carried to a machine without torch or a network, or into the bucket of models.
"""

import argparse
import os
import sys
from pathlib import Path

from fetch import fetch

from functions.separate.engine import UnusableWeights, torch_engine
from functions.separate.engine.export.exporter import NotExportable, export
from functions.separate.engine.locate import BUNDLED, Weights, inside
from functions.separate.engine.openvino_backend import exported_model
from microdemucs.paths import ROOT


def main() -> None:
    """Prepare the named model, or end with one line that says what to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="", help="any model of demucs, or one of yours")
    parser.add_argument(
        "--into", type=Path, default=os.environ.get("MODELS_DIR") or ROOT / "models"
    )
    asked = parser.parse_args()
    name, folder = (asked.name, asked.into) if asked.name else (BUNDLED, ROOT / "models")
    weights = inside(folder, name)
    if not weights:
        fetch(name, folder / name)
        weights = Weights(name, folder / name, folder / name)
    if not weights.path:
        print(f"{weights.home} holds the exported form without the weights: nothing is to be done")
        return
    digest, home = weights.digest(), weights.home or folder / name
    there = exported_model.find(home)
    if asked.name and there and there.weights == digest:
        print(f"{home} is complete")
        return
    try:
        form = export(torch_engine.network(name, weights.path), digest, home)
    except UnusableWeights as error:
        sys.exit(f"{weights.path} cannot be loaded: {error}")
    except NotExportable as error:
        print(f"{weights.path} is served by torch only, since it cannot be exported: {error}")
        return
    for one in form.networks:
        print(f"{', '.join(one.parts)}: {_differences(one.checked)}")
    print(home)


def _differences(checked: dict[str, float]) -> str:
    return ", ".join(f"{value:.1f} dB from torch in {name}" for name, value in checked.items())


if __name__ == "__main__":
    main()
