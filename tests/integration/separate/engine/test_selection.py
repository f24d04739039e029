"""Which engine runs a model, and that OpenVINO needs neither torch nor demucs."""

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
from typing import Any

import pytest
from minio import Minio

from functions.separate.engine.locate import BUNDLED, OpenBucket
from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.selection import ModelLoader
from functions.separate.engine.settings import ModelSettings
from functions.separate.engine.torch_backend.convert import write_network
from functions.separate.engine.torch_backend.engine import TorchEngine
from microdemucs.options import BadOption
from microdemucs.paths import ROOT
from microdemucs.settings import BadSetting
from tests.integration.separate.engine.comparison import (
    SEGMENT,
    WEIGHTS,
    save_hdemucs,
    save_htdemucs,
)
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs

MakeRegistry = Callable[..., ModelRegistry]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of models."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def make_registry(open_models_bucket: OpenBucket, folder: Path, tmp_path: Path) -> MakeRegistry:
    """Make registries with that folder and one cache."""

    def make_registry(engine: str = "auto") -> ModelRegistry:
        settings = ModelSettings(default="", folder=folder, cache=tmp_path / "cache", engine=engine)
        return ModelRegistry(settings, open_models_bucket)

    return make_registry


@pytest.fixture
def models(make_registry: MakeRegistry) -> ModelRegistry:
    return make_registry()


def engine_of(models: ModelRegistry, name: str) -> type:
    return type(models.load(models.choose(name)).engines[0])


def logged(caplog: pytest.LogCaptureFixture, message: str) -> dict[str, Any]:
    """Return the fields of the only line with this message."""
    [record] = [record for record in caplog.records if record.message == message]
    return record.__dict__


def test_the_network_of_weights_is_built_for_openvino(
    models: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    with caplog.at_level(logging.INFO):
        assert engine_of(models, "mine") is OpenVinoEngine
    line = logged(caplog, "model loaded")
    assert (line["engine"], line["reason"]) == (
        "openvino",
        "the network is built from its weights",
    )
    assert logged(caplog, "precision chosen")["reason"]


def test_weights_in_the_bucket_are_built_too(models: ModelRegistry, root: Minio) -> None:
    root.fput_object("models", "in-bucket/mine.safetensors", str(WEIGHTS))
    assert engine_of(models, "in-bucket") is OpenVinoEngine


def test_a_model_is_prepared_once_by_those_that_use_it_first(
    make_registry: MakeRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = make_registry(), make_registry()
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    with caplog.at_level(logging.INFO), ThreadPoolExecutor(2) as threads:
        engines = list(threads.map(lambda models: engine_of(models, "mine"), (first, second)))
    assert engines == [OpenVinoEngine] * 2
    assert caplog.messages.count("model prepared") == 1


def test_the_same_weights_under_another_name_are_not_prepared_again(
    make_registry: MakeRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for name in ("one", "two"):
            models = make_registry()
            shutil.copy(WEIGHTS, folder / f"{name}.safetensors")
            assert engine_of(models, name) is OpenVinoEngine
    assert caplog.messages.count("model prepared") == 1
    cache = models.settings.cache / prepared_model.COMPILED
    assert len(list(cache.glob(f"*/{prepared_model.NAME}"))) == 1


def test_a_model_that_is_prepared_beside_its_weights_is_used_from_there(
    models: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "mine").mkdir()
    shutil.copy(WEIGHTS, folder / "mine")
    command = [sys.executable, "-m", "functions.separate.engine.openvino_backend.prepare"]
    subprocess.run([*command, str(folder / "mine")], cwd=ROOT, check=True)
    with caplog.at_level(logging.INFO):
        assert engine_of(models, "mine") is OpenVinoEngine
    assert "model is being prepared" not in caplog.messages


def test_weights_that_changed_are_prepared_again(
    make_registry: MakeRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    with caplog.at_level(logging.INFO):
        engine_of(make_registry(), "mine")
        write_network(small_htdemucs(), folder / "mine.safetensors")
        assert make_registry().load(make_registry().choose("mine")).max_segment == 2
    assert caplog.messages.count("model prepared") == 2


def test_pickles_of_htdemucs_run_on_openvino(models: ModelRegistry, folder: Path) -> None:
    save_htdemucs(folder / "pickled" / "pickled.th")
    assert engine_of(models, "pickled") is OpenVinoEngine


def test_torch_runs_what_openvino_cannot(
    models: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_hdemucs(folder / "older" / "older.th")
    with caplog.at_level(logging.INFO):
        assert engine_of(models, "older") is TorchEngine
    assert logged(caplog, "model loaded")["reason"] == (
        "OpenVINO cannot run it: HDemucs is not HTDemucs"
    )


def test_weights_that_cannot_be_built_are_not_tried_again(
    make_registry: MakeRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_hdemucs(folder / "older" / "older.th")
    loader = ModelLoader("auto", "auto", make_registry().settings.cache)
    model = make_registry().choose("older")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert isinstance(loader.load(model).engines[0], TorchEngine)
    assert caplog.messages.count("model is being prepared") == 1


def test_what_openvino_cannot_run_is_rejected_if_the_engine_must_be_openvino(
    make_registry: MakeRegistry, folder: Path
) -> None:
    save_hdemucs(folder / "older" / "older.th")
    with pytest.raises(BadOption, match="OpenVINO cannot run it: HDemucs is not"):
        engine_of(make_registry("openvino"), "older")


def test_a_broken_prepared_model_is_prepared_again(
    make_registry: MakeRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    models = make_registry()
    engine_of(models, "mine")
    for path in models.settings.cache.rglob("*.blob"):
        path.write_text("not a network")
    assert engine_of(make_registry(), "mine") is OpenVinoEngine
    assert "prepared model cannot be read" in caplog.messages
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert engine_of(make_registry(), "mine") is OpenVinoEngine
    assert "model is being prepared" not in caplog.messages


def test_weights_that_cannot_be_read_are_rejected_with_the_reason(
    models: ModelRegistry, folder: Path
) -> None:
    (folder / "mine.safetensors").write_bytes(b"not weights")
    with pytest.raises(BadOption, match="no readable safetensors file"):
        engine_of(models, "mine")


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    settings = ModelSettings(default="", folder=folder, cache=tmp_path / "file", engine="auto")
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    with pytest.raises(BadOption, match="MODELS_CACHE or the weights cannot be used"):
        engine_of(ModelRegistry(settings), "mine")


def test_the_setting_engine_takes_precedence(make_registry: MakeRegistry, folder: Path) -> None:
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    assert engine_of(make_registry("torch"), "mine") is TorchEngine


def test_an_unknown_engine_is_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "onnx")
    with pytest.raises(BadSetting, match="ENGINE is 'onnx': must be one of auto, openvino"):
        ModelSettings()


@pytest.fixture(scope="module")
def run_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of requirements/run.txt, and no others."""
    site = tmp_path_factory.mktemp("site")
    lock = (ROOT / "requirements" / "run.txt").read_text().splitlines()
    for name in (line.split("==")[0] for line in lock if "==" in line):
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(str(package.locate_file(top)))
    (site / "minio_events").symlink_to(ROOT / "minio-events")
    return site


PROGRAM = """
import json, sys
import functions_framework, numpy
functions_framework.create_app("separate", "functions/separate/main.py")
from functions.separate import preload
from microdemucs.options import BadOption
models = preload.registry()
def shape_or_reason(name):
    try:
        model = models.load(models.choose(name))
    except BadOption as error:
        return error.detail
    mix = numpy.zeros((2, int(model.max_segment * 44100)), numpy.float32)
    return model.engines[0].separate(mix).shape
report = {name: shape_or_reason(name) for name in sys.argv[1:]}
report["imported"] = sorted({"torch", "demucs", "huggingface_hub"} & set(sys.modules))
print(json.dumps(report))
"""
"""Loads models by their names; prints the shape of silence separated, or why it cannot load."""

RunProgram = Callable[..., dict[str, Any]]


@pytest.fixture
def run_program(settings: dict[str, str], folder: Path, tmp_path: Path) -> RunProgram:
    """Run PROGRAM with a folder of models, and with the packages in `site` or all."""
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    save_hdemucs(folder / "older" / "older.th")
    (tmp_path / "home").mkdir()
    environment = {
        "HOME": str(tmp_path / "home"),
        "MODELS_DIR": str(folder),
        "MODELS_CACHE": str(tmp_path / "cache"),
    }

    def run_program(names: list[str], site: Path | None = None) -> dict[str, Any]:
        path = f"{ROOT}:{site}" if site else str(ROOT)
        result = subprocess.run(
            [sys.executable, *(["-S"] if site else []), "-c", PROGRAM, *names],
            cwd=ROOT,
            env=os.environ | settings | environment | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        report: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return report

    return run_program


def test_a_model_is_built_without_importing_torch(run_program: RunProgram) -> None:
    assert run_program(["mine"]) == {"mine": [4, 2, SEGMENT], "imported": []}


def test_openvino_reports_no_usage(run_program: RunProgram, tmp_path: Path) -> None:
    """Its reporter would leave a file in the home folder."""
    run_program(["mine"])
    assert not list((tmp_path / "home").iterdir())


def test_torch_and_demucs_need_not_be_installed(
    run_program: RunProgram, run_packages: Path
) -> None:
    report = run_program(["mine", "older", "htdemucs_ft"], run_packages)
    assert report["mine"] == [4, 2, SEGMENT]
    assert "torch is not installed; `python3 -m local.setup torch`" in report["older"]
    assert "`make models MODEL=htdemucs_ft` gets this one" in report["htdemucs_ft"]


def test_the_bundled_model_needs_neither_torch_nor_demucs(
    run_program: RunProgram, run_packages: Path
) -> None:
    assert run_program([BUNDLED], run_packages)[BUNDLED] == [4, 2, SEGMENT]
