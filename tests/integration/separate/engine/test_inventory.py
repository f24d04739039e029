"""What a process finds on its disks, as users see it."""

from pathlib import Path

import pytest

from functions.separate.engine.inventory import FilesOnDisk, make_record
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from microdemucs.models.catalogue import BUNDLED_MODEL, Location, ModelEntry
from testing.network_files import HDEMUCS, SOURCES, network_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of models."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def registry(folder: Path, **settings: str) -> ModelRegistry:
    """The models of a process that has this folder of models."""
    chosen = {"default": "", "engine": "openvino"} | settings
    return ModelRegistry(ModelSettings(folder=folder, cache=folder.parent / "cache", **chosen))


def entries(models: ModelRegistry) -> dict[str, ModelEntry]:
    return {model.name: model for model in make_record(models).models}


def test_the_bundled_model_is_the_one_that_upload_knows(folder: Path) -> None:
    assert entries(registry(folder))["htdemucs_tiny"] == BUNDLED_MODEL


def test_models_in_the_folder_are_found_in_each_form(folder: Path) -> None:
    (folder / "file.safetensors").write_bytes(network_file())
    (folder / "own").mkdir()
    (folder / "own" / "a.safetensors").write_bytes(network_file())
    (folder / "bag").mkdir()
    (folder / "bag" / "bag.yaml").write_text("models: [a, b]")
    for name in ("a", "b"):
        (folder / "bag" / f"{name}.safetensors").write_bytes(network_file())
    found = entries(registry(folder))
    for name, networks in {"file": 1, "own": 1, "bag": 2}.items():
        facts = found[name].facts
        assert facts
        assert (found[name].location, facts.sources) == (Location.FOLDER, SOURCES)
        assert (facts.segment, facts.networks) == (7.8, networks)


def test_a_model_that_no_engine_runs_is_recorded_with_the_reason(folder: Path) -> None:
    (folder / "old.safetensors").write_bytes(network_file(HDEMUCS))
    (folder / "cut.safetensors").write_bytes(network_file()[:-1])
    found = entries(registry(folder))
    assert "HDemucs is not HTDemucs" in found["old"].reason
    assert "not complete" in found["cut"].reason
    assert (found["old"].facts, found["cut"].facts) == (None, None)


def test_the_record_names_the_engines_of_the_setting(folder: Path) -> None:
    assert make_record(registry(folder)).engines == ["openvino"]
    assert make_record(registry(folder, engine="torch")).engines == ["torch"]
    assert make_record(registry(folder, engine="auto")).engines == ["openvino", "torch"]


@pytest.mark.parametrize("setting", ["", "mine"])
def test_the_record_has_the_default_of_the_setting(folder: Path, setting: str) -> None:
    assert make_record(registry(folder, default=setting)).default == setting


def test_a_default_that_is_a_path_can_also_be_chosen_by_its_name(folder: Path) -> None:
    path = folder.parent / "elsewhere.safetensors"
    path.write_bytes(network_file())
    models = registry(folder, default=str(path))
    record = make_record(models)
    assert record.default == "elsewhere"
    assert "elsewhere" in {model.name for model in record.models if model.facts}
    assert models.choose("elsewhere") == models.choose("")


def test_the_files_of_a_folder_are_read_in_pieces(folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(b"0123456789")
    for files in (FilesOnDisk(folder), FilesOnDisk(folder / "a.safetensors")):
        assert files.sizes() == {"a.safetensors": 10}
        assert files.read("a.safetensors", 8, 5) == b"89"
