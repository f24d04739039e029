"""Fetch models from the hub, once for all pods, into the folder or the bucket of models.

    python -m functions.separate.fetch_models --into bucket htdemucs htdemucs_ft

A name may begin with its account on the hub: `account/name`. In the folder (MODELS_DIR), each model
is also prepared for this kind of processor, and the list of models is published; one that is there
is not fetched again. From the bucket, each pod takes the weights and prepares them itself.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from functions.separate.engine import CannotBuild, UnusableWeights, hub
from functions.separate.engine.bag import read_bag
from functions.separate.engine.inventory import FilesOnDisk
from functions.separate.engine.locate import LocatedModel, files_of, find_in_folder
from functions.separate.engine.registry import ModelRegistry
from functions.separate.publish_models import ModelsPublisher
from functions.separate.settings import FetchModelsSettings
from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.models.description import OPENVINO, TORCH, describe
from microdemucs.problems import RetryLater
from microdemucs.settings import BadSetting
from microdemucs.store import ObjectChanged

_FAILURES = (hub.CannotFetch, UnusableWeights, RetryLater, ObjectChanged, OSError, RuntimeError)


def main() -> None:
    """Fetch the models that the command line names; exit with an error if one is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--into", choices=("folder", "bucket"), required=True)
    parser.add_argument("models", nargs="*", metavar="[ACCOUNT/]NAME", help="a model on the hub")
    arguments = parser.parse_args()
    try:
        settings = FetchModelsSettings()
    except BadSetting as error:
        sys.exit(str(error))
    models = ModelRegistry(settings.models)
    bucket = Bucket(store.connect(settings.store), settings.store.models)
    into_folder = arguments.into == "folder"
    has_failed = False
    for full_name in arguments.models:
        account, _, name = full_name.rpartition("/")
        try:
            if into_folder:
                _into_folder(account, name, models)
            else:
                _into_bucket(account, name, models, bucket)
        except _FAILURES as error:
            has_failed = True
            print(f"{full_name} failed: {error}", file=sys.stderr, flush=True)
    # If ENGINE is torch, this process has no engine, and cannot say what the function can use.
    if into_folder and settings.store.access_key and models.engines():
        ModelsPublisher(models, bucket).publish()
    sys.exit(has_failed)


def _engines_of_the_function(models: ModelRegistry) -> list[str]:
    """Return the engines that pods have. If ENGINE is torch, their image has it, unlike this."""
    return models.engines() or [TORCH]


def _into_folder(account: str, name: str, models: ModelRegistry) -> None:
    """Fetch the model unless it is there, and prepare it. Raises one of _FAILURES."""
    folder = models.settings.folder
    found = find_in_folder(folder, name)
    if not found:
        hub.fetch(name, folder / name, account or models.settings.namespace)
        found = LocatedModel(name, folder / name)
    assert found.weights
    describe(name, FilesOnDisk(found.weights), _engines_of_the_function(models))
    if OPENVINO in models.engines():
        _prepare(found, found.weights, models.settings.precision)
    print(f"{name} is in {found.folder}", flush=True)


def _prepare(model: LocatedModel, weights: Path, precision: str) -> None:
    # imported here: the bucket of models needs no OpenVINO
    from functions.separate.engine.openvino_backend import prepared_model
    from functions.separate.engine.openvino_backend.prepare import prepare

    target = prepared_model.folder_in(model.folder, model.digest(), precision)
    try:
        prepare(read_bag(weights, model.name), model.name, target, precision)
    except CannotBuild as error:
        print(f"{model.name} runs on torch only: {error}", flush=True)


def _into_bucket(account: str, name: str, models: ModelRegistry, bucket: Bucket) -> None:
    """Fetch the model and put its files into the bucket. Raises one of _FAILURES."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        hub.fetch(name, folder, account or models.settings.namespace)
        describe(name, FilesOnDisk(folder), _engines_of_the_function(models))
        # The list of networks is first: without it, the first of several networks would look like
        # a whole model, and with it the model counts when the last one is there.
        for file in files_of(folder, name):
            with file.open("rb") as content:
                size = file.stat().st_size
                bucket.put(f"{name}/{file.name}", content, size, "application/octet-stream")
    print(f"{name} is in the bucket {bucket.name}", flush=True)


if __name__ == "__main__":
    main()
