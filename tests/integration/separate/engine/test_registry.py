"""Which model a job gets, which stay loaded, and what users read if a model cannot be used."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from minio import Minio

from functions.separate.engine.locate import BUNDLED, LIMITED_QUALITY, OpenBucket
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from microdemucs.options import BadOption
from tests.integration.separate.engine.comparison import (
    SEGMENT_S,
    SOURCES,
    WEIGHTS,
    save_hdemucs,
)

MakeRegistry = Callable[..., ModelRegistry]


@pytest.fixture
def make_registry(
    open_models_bucket: OpenBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeRegistry:
    """Make registries on torch, with a folder and a cache of the test's own and without a hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = tmp_path / "models"
    folder.mkdir()

    def make_registry(default: str = "") -> ModelRegistry:
        settings = ModelSettings(
            default=default, folder=folder, cache=tmp_path / "cache", engine="torch"
        )
        return ModelRegistry(settings, open_models_bucket)

    return make_registry


@pytest.fixture
def models(make_registry: MakeRegistry) -> ModelRegistry:
    return make_registry()


@pytest.fixture
def folder(models: ModelRegistry) -> Path:
    """The registry's folder of models."""
    return models.settings.folder


def write_bag(folder: Path, name: str, *signatures: str) -> None:
    """Write demucs' list of an ensemble."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"models": list(signatures)}))


def test_a_file_in_the_folder_is_loaded_by_its_name(models: ModelRegistry, folder: Path) -> None:
    shutil.copy(WEIGHTS, folder / "mine.safetensors")
    model = models.load(models.choose("mine"))
    assert (model.name, model.sources, model.note) == ("mine", tuple(SOURCES), "")
    assert model.max_segment == SEGMENT_S


def test_a_folder_with_an_ensemble_is_loaded_by_its_name(
    models: ModelRegistry, folder: Path
) -> None:
    write_bag(folder / "pair", "pair", "aaaa", "bbbb")
    shutil.copy(WEIGHTS, folder / "pair" / "aaaa.safetensors")
    save_hdemucs(folder / "pair" / "bbbb.th")
    model = models.load(models.choose("pair"))
    assert len(model.engines) == 2
    assert [list(row) for row in model.weights] == [[1, 1, 1, 1]] * 2


def test_a_folder_as_demucs_keeps_its_own_is_loaded(models: ModelRegistry, folder: Path) -> None:
    save_hdemucs(folder / "cccc.th")
    write_bag(folder, "trio", "cccc")
    assert models.load(models.choose("trio")).name == "trio"
    assert models.load(models.choose("cccc")).max_segment == float("inf")


def test_a_model_in_the_bucket_is_loaded(models: ModelRegistry, root: Minio) -> None:
    root.fput_object("models", "from-bucket/weights.safetensors", str(WEIGHTS))
    assert models.load(models.choose("from-bucket")).name == "from-bucket"


def test_the_cache_of_the_hub_is_used_without_a_network(
    models: ModelRegistry, tmp_path: Path
) -> None:
    repository = tmp_path / "hub" / "models--adefossez--HTDemucs"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    write_bag(snapshot, "htdemucs", "955717e8")
    shutil.copy(WEIGHTS, snapshot / "955717e8.safetensors")
    chosen = models.choose("")
    assert chosen.weights == snapshot
    assert models.load(chosen).name == "htdemucs"


def test_the_default_is_the_bundled_model_with_a_note(models: ModelRegistry) -> None:
    chosen = models.choose("")
    assert (chosen.name, chosen.note) == (BUNDLED, LIMITED_QUALITY)


def test_the_default_is_the_full_model_if_it_is_on_disk(
    models: ModelRegistry, folder: Path
) -> None:
    (folder / "htdemucs").mkdir()
    shutil.copy(WEIGHTS, folder / "htdemucs" / "955717e8.safetensors")
    for chosen in (models.choose(""), models.choose_default_on_disk()):
        assert (chosen.name, chosen.note) == ("htdemucs", "")


def test_the_default_may_be_a_path(make_registry: MakeRegistry, tmp_path: Path) -> None:
    shutil.copy(WEIGHTS, tmp_path / "elsewhere.safetensors")
    models = make_registry(str(tmp_path / "elsewhere.safetensors"))
    assert models.load(models.choose("")).name == "elsewhere"


def test_the_default_on_disk_does_not_open_the_bucket(tmp_path: Path) -> None:
    def open_bucket() -> object:
        raise AssertionError("the bucket was opened")

    settings = ModelSettings(default="", folder=tmp_path, cache=tmp_path / "cache")
    registry = ModelRegistry(settings, open_bucket)  # type: ignore[arg-type]
    assert registry.choose_default_on_disk().name in ("htdemucs", BUNDLED)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-such-model", f"one of .*{BUNDLED}.*, or a name in the bucket"),
        ("training", "one of"),  # a folder without weights
        ("htdemucs_ft", "its weights are not on this machine, and HF_HUB_OFFLINE is set"),
        ("955717e8", "its weights are not on this machine, and HF_HUB_OFFLINE is set"),
    ],
)
def test_a_model_that_is_nowhere_is_rejected_with_the_ones_there_are(
    models: ModelRegistry, name: str, reason: str
) -> None:
    with pytest.raises(BadOption, match=f"model is '{name}'.*{reason}"):
        models.load(models.choose(name))


def test_weights_that_cannot_be_read_are_rejected_with_the_reason(
    models: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(BadOption, match="broken") as rejected:
        models.load(models.choose("broken"))
    [line] = [record for record in caplog.records if record.message == "model cannot be used"]
    assert line.levelno == logging.WARNING
    assert f"this one cannot be loaded: {line.__dict__['reason']}" in rejected.value.detail


def test_a_model_for_another_sample_rate_is_rejected(models: ModelRegistry, folder: Path) -> None:
    save_hdemucs(folder / "slow.th", samplerate=22_050)
    with pytest.raises(BadOption, match="2 channels at 22050 Hz"):
        models.load(models.choose("slow"))


def test_the_last_two_models_stay_loaded(models: ModelRegistry, folder: Path) -> None:
    for name in ("one", "two", "three"):
        shutil.copy(WEIGHTS, folder / f"{name}.safetensors")
    one, two, three = (models.load(models.choose(name)) for name in ("one", "two", "three"))
    assert models.load(models.choose("three")) is three
    assert models.load(models.choose("two")) is two
    assert models.load(models.choose("one")) is not one
