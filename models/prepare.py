"""Download a model unless it is there, and prepare it for OpenVINO (`make models`).

    python models/prepare.py htdemucs

Pickles are converted to safetensors, for which torch is installed. Afterwards the folder
models/<name>/ can be copied to a machine without a network, or into the bucket of models.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from fetch import copy, fetch, split_name

from functions.separate.engine import CannotBuild, UnusableWeights, hub
from functions.separate.engine.bag import read_bag
from functions.separate.engine.locate import (
    BUNDLED,
    LocatedModel,
    ModelLocator,
    files_of,
    find_in_folder,
)
from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.openvino_backend.prepare import prepare as prepare_bag
from functions.separate.engine.settings import ModelSettings
from functions.separate.engine.torch_backend.convert import convert
from local.setup import set_up
from microdemucs.settings import BadSetting


def main() -> None:
    """Prepare the model and print what was done, or exit with one line that says what to do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "name", nargs="?", default=BUNDLED, help="a model of demucs, [account/]name, or your own"
    )
    parser.add_argument(
        "--into", type=Path, help="the folder of models (default: MODELS_DIR, or models/)"
    )
    arguments = parser.parse_args()
    try:
        settings = ModelSettings()
        prepare(arguments.name, arguments.into or settings.folder, settings)
    except (BadSetting, OSError) as error:
        sys.exit(str(error))


def prepare(name: str, folder: Path, settings: ModelSettings) -> None:
    """Prepare the model in the folder of models; get it if it is not there."""
    existing = find_in_folder(folder, name) if hub.is_name(name) else None
    model = existing or _get(name, folder, settings)
    name = model.name
    assert model.weights
    own = model.folder
    try:
        bag = read_bag(model.weights, name)
        if bag.has_pickles:
            if not find_spec("demucs"):
                set_up("torch")
            bag = convert(bag, model.weights if model.weights.is_dir() else model.weights.parent)
            model = find_in_folder(folder, name) or model
        target = prepared_model.folder_in(own, model.digest(), "auto")
        prepare_bag(bag, name, target, "auto")
    except UnusableWeights as error:
        sys.exit(f"{model.weights} cannot be loaded: {error}")
    except CannotBuild as error:
        print(f"{model.weights} runs on torch only: {error}")
        if not find_spec("demucs"):
            print("`python3 -m local.setup torch` installs torch")
        return
    for network in prepared_model.read(target).networks:
        print(f"{network.stages[0]}: {network.precision}, {network.reason}")
    print(own)


def _get(name: str, folder: Path, settings: ModelSettings) -> LocatedModel:
    """Copy the model from elsewhere on this machine, or download it."""
    namespace, name = split_name(name, settings.namespace)
    existing = ModelLocator(None, folder, settings.cache, namespace).find(name)
    if not existing:
        fetch(name, folder / name, namespace)
    elif existing.weights and not existing.weights.is_relative_to(folder):
        copy(files_of(existing.weights, name), folder / name)
    return find_in_folder(folder, name) or LocatedModel(name, folder / name)


if __name__ == "__main__":
    main()
