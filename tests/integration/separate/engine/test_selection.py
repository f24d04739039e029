"""Which engine serves a model, and that torch is not needed where OpenVINO does."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch
from demucs.hdemucs import HDemucs
from demucs.states import get_state
from minio import Minio

from functions.separate.engine import torch_engine
from functions.separate.engine.export.exporter import export
from functions.separate.engine.locate import OpenBucket, Weights
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.registry import BUNDLED, ModelRegistry
from functions.separate.engine.torch_engine import TorchEngine
from functions.separate.settings import ModelSettings
from microdemucs.options import BadOption
from microdemucs.paths import ROOT
from microdemucs.settings import BadSetting

TINY = ROOT / "models" / BUNDLED / f"{BUNDLED}.safetensors"
Of = Callable[..., ModelRegistry]


@pytest.fixture(scope="module")
def form(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small model's exported form, without the weights."""
    folder = tmp_path_factory.mktemp("form") / "form"
    export(torch_engine.network(BUNDLED, TINY), Weights(BUNDLED, TINY).digest(), folder)
    return folder


@pytest.fixture
def of(open_models_bucket: OpenBucket, tmp_path: Path) -> Of:
    """A ModelRegistry of a folder and a cache of the test's own."""
    (tmp_path / "models").mkdir()

    def of(engine: str = "auto") -> ModelRegistry:
        folder, cache = tmp_path / "models", tmp_path / "cache"
        settings = ModelSettings(default="", folder=folder, cache=cache, engine=engine)
        return ModelRegistry(settings, open_models_bucket)

    return of


def older(folder: Path) -> None:
    """A model of an older kind, as demucs' own .th files hold it."""
    network = HDemucs(["drums", "bass", "other", "vocals"], channels=4)
    arguments, named = network._init_args_kwargs
    package = {"klass": HDemucs, "args": arguments, "kwargs": named}
    folder.mkdir(exist_ok=True)
    torch.save(package | {"state": get_state(network, None)}, folder / "older.th")


def engine(models: ModelRegistry, name: str) -> type:
    return type(models.load(models.choose(name)).engines[0])


def test_the_exported_form_beside_the_weights_is_used_and_a_line_says_so(of, form, caplog):
    models = of()
    shutil.copytree(form, models.settings.folder / "mine")
    shutil.copy(TINY, models.settings.folder / "mine")
    with caplog.at_level(logging.INFO):
        assert engine(models, "mine") is OpenVinoEngine
    loaded = next(line for line in caplog.records if line.message == "model loaded")
    assert (loaded.engine, loaded.why) == ("openvino", "its exported form is at hand")


def test_an_exported_form_needs_no_weights(of, form, root: Minio):
    models = of()
    shutil.copytree(form, models.settings.folder / "mine")
    for path in form.iterdir():
        root.fput_object("models", f"exported-only/{path.name}", str(path))
    assert engine(models, "mine") is OpenVinoEngine
    assert engine(models, "exported-only") is OpenVinoEngine
    with pytest.raises(BadOption, match="exported form only"):
        engine(of("torch"), "mine")


def test_what_is_not_exported_is_exported_once_by_those_who_use_it_first(of, caplog):
    first, second = of(), of()
    shutil.copy(TINY, first.settings.folder / "mine.safetensors")
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as both:
        served = list(both.map(lambda models: engine(models, "mine"), (first, second)))
    assert served == [OpenVinoEngine] * 2
    assert caplog.messages.count("exported") == 1
    shutil.copy(TINY, first.settings.folder / "the-same-weights.safetensors")
    assert engine(of(), "the-same-weights") is OpenVinoEngine
    assert len(list((first.settings.cache / "exported").glob(f"*/{exported_model.NAME}"))) == 1


def test_torch_serves_what_cannot_be_exported_and_it_is_tried_once(of, caplog):
    models = of()
    older(models.settings.folder / "older")
    with caplog.at_level(logging.INFO):
        assert engine(models, "older") is TorchEngine
        assert engine(of(), "older") is TorchEngine
    assert caplog.messages.count("exporting") == 1
    loaded = next(line for line in caplog.records if line.message == "model loaded")
    assert loaded.why == "it cannot be exported: HDemucs is not HTDemucs"
    with pytest.raises(BadOption, match="cannot be exported for OpenVINO: HDemucs is not"):
        engine(of("openvino"), "older")


def test_a_form_that_was_made_from_other_weights_is_ignored_and_a_line_says_so(of, form, caplog):
    models = of()
    shutil.copytree(form, models.settings.folder / "mine")
    older(models.settings.folder / "mine")
    assert engine(models, "mine") is TorchEngine
    assert "exported form ignored: it was made from other weights" in caplog.messages


def test_an_exported_form_that_is_broken_is_the_options_fault_not_a_crash(of, form):
    models = of()
    shutil.copytree(form, models.settings.folder / "mine")
    for path in (models.settings.folder / "mine").glob("*.xml"):
        path.write_text("nothing of the kind")
    with pytest.raises(BadOption, match="its exported form cannot be read"):
        engine(models, "mine")


def test_the_engine_can_be_set(of, form, monkeypatch):
    mine = of("torch")
    shutil.copytree(form, mine.settings.folder / "mine")
    shutil.copy(TINY, mine.settings.folder / "mine")
    assert engine(mine, "mine") is TorchEngine
    monkeypatch.setenv("ENGINE", "onnx")
    with pytest.raises(BadSetting, match="ENGINE is 'onnx': must be one of auto, openvino"):
        ModelSettings()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of requirements/run.txt, and no others."""
    site = tmp_path_factory.mktemp("site")
    lock = (ROOT / "requirements" / "run.txt").read_text().splitlines()
    for name in (line.split("==")[0] for line in lock if "==" in line):
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(package.locate_file(top))
    (site / "minio_events").symlink_to(ROOT / "minio-events")
    return site


SERVE = """
import json, sys
import functions_framework, numpy
functions_framework.create_app("separate", "functions/separate/main.py")
from functions.separate import preload
from microdemucs.options import BadOption
models = preload.registry()
def tried(name):
    try:
        model = models.load(models.choose(name))
    except BadOption as error:
        return error.detail
    mix = numpy.zeros((2, int(model.longest * 44100)), numpy.float32)
    return model.engines[0].separate(mix).shape
said = {name: tried(name) for name in sys.argv[1:]}
said["imported"] = sorted({"torch", "demucs", "yaml", "huggingface_hub"} & set(sys.modules))
print(json.dumps(said))
"""


@pytest.fixture
def served(settings, form, tmp_path):
    """What a process says that serves models by their names, with the packages of `site`."""
    shutil.copytree(form, tmp_path / "models" / "mine")
    shutil.copy(TINY, tmp_path / "models" / "mine")
    shutil.copy(TINY, tmp_path / "models" / "weights-only.safetensors")
    (tmp_path / "home").mkdir()
    here = {
        "HOME": str(tmp_path / "home"),
        "MODELS_DIR": str(tmp_path / "models"),
        "MODELS_CACHE": str(tmp_path / "cache"),
    }

    def served(names: list[str], site: Path | None = None) -> dict:
        path = f"{ROOT}:{site}" if site else str(ROOT)
        done = subprocess.run(
            [sys.executable, *(["-S"] if site else []), "-c", SERVE, *names],
            cwd=ROOT,
            env=os.environ | settings | here | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return served


def test_an_exported_model_is_served_without_importing_torch(served, tmp_path):
    samples = int(3.9 * 44100)
    assert served(["mine"]) == {"mine": [4, 2, samples], "imported": []}
    assert not list((tmp_path / "home").iterdir()), "OpenVINO's usage reports are on"


def test_torch_and_demucs_need_not_be_installed(served, packages):
    said = served(["mine", "weights-only", "htdemucs_ft"], packages)
    assert said["mine"] == [4, 2, int(3.9 * 44100)]
    assert "`make models MODEL=weights-only` exports it" in said["weights-only"]
    assert "`make models MODEL=…` adds one of demucs' own" in said["htdemucs_ft"]


def test_the_bundled_model_is_exported_from_the_weights_beside_it(served, packages):
    form = exported_model.find(ROOT / "models" / BUNDLED)
    assert form
    assert form.weights == Weights(BUNDLED, TINY).digest()
    assert served([BUNDLED], packages)[BUNDLED] == [4, 2, int(3.9 * 44100)]
