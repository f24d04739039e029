"""Where a model's weights come from, and what is said when there are none."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.states import get_state
from minio import Minio

from functions.separate.engine.locate import OpenBucket
from functions.separate.engine.registry import BUNDLED, LIMITED, ModelRegistry
from functions.separate.settings import ModelSettings
from microdemucs.options import BadOption
from microdemucs.paths import MODELS

TINY = MODELS / BUNDLED / f"{BUNDLED}.safetensors"
SOURCES = ["drums", "bass", "other", "vocals"]


@pytest.fixture
def of(open_models_bucket: OpenBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A ModelRegistry of an empty folder and the test's own cache, on torch, with no hub in reach."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("functions.separate.engine.hub.HUBS", ("", "http://127.0.0.1:9"))
    folder = tmp_path / "models"
    folder.mkdir()

    def of(default: str = "") -> ModelRegistry:
        settings = ModelSettings(
            default=default, folder=folder, cache=tmp_path / "cache", engine="torch"
        )
        return ModelRegistry(settings, open_models_bucket)

    return of


def pickled(folder: Path, name: str, samplerate: int = 44_100) -> None:
    """A demucs model as its own .th files hold it."""
    torch.manual_seed(0)
    network = HDemucs(SOURCES, channels=4, samplerate=samplerate)
    arguments, named = network._init_args_kwargs
    package = {"klass": HDemucs, "args": arguments, "kwargs": named}
    torch.save(package | {"state": get_state(network, None)}, folder / name)


def bag(folder: Path, name: str, *signatures: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"models": list(signatures)}))


def test_a_file_in_the_folder_is_found_by_its_name(of):
    models = of()
    shutil.copy(TINY, models.settings.folder / "mine.safetensors")
    model = models.load(models.choose("mine"))
    assert (model.name, model.sources, model.note) == ("mine", tuple(SOURCES), "")
    assert model.longest == 3.9


def test_a_folder_with_a_bag_is_found_by_its_name(of):
    models = of()
    bag(models.settings.folder / "pair", "pair", "aaaa", "bbbb")
    shutil.copy(TINY, models.settings.folder / "pair" / "aaaa.safetensors")
    pickled(models.settings.folder / "pair", "bbbb.th")
    model = models.load(models.choose("pair"))
    assert len(model.engines) == 2
    assert [list(row) for row in model.weights] == [[1, 1, 1, 1]] * 2


def test_a_folder_as_demucs_keeps_its_own_works(of):
    models = of()
    pickled(models.settings.folder, "cccc.th")
    bag(models.settings.folder, "trio", "cccc")
    assert models.load(models.choose("trio")).name == "trio"
    assert models.load(models.choose("cccc")).longest == float("inf")


def test_a_prefix_in_the_bucket_is_downloaded_once_and_again_when_it_changes(of, root: Minio):
    models = of()
    root.fput_object("models", "from-bucket/weights.safetensors", str(TINY))
    first = models.choose("from-bucket")
    assert models.choose("from-bucket") == first
    assert models.load(first).name == "from-bucket"
    root.fput_object("models", "from-bucket/README", __file__)
    assert models.choose("from-bucket") != first


def test_the_cache_of_the_hub_is_used_without_a_network(of, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--adefossez--HTDemucs"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    bag(snapshot, "htdemucs", "955717e8")
    shutil.copy(TINY, snapshot / "955717e8.safetensors")
    assert of().choose("").path == snapshot


def test_the_default_is_the_bundled_model_with_a_note_where_there_is_no_better(of):
    chosen = of().choose("")
    assert (chosen.name, chosen.note) == (BUNDLED, LIMITED)


def test_the_default_is_the_full_model_where_it_is_at_hand(of):
    models = of()
    (models.settings.folder / "htdemucs").mkdir()
    shutil.copy(TINY, models.settings.folder / "htdemucs" / "955717e8.safetensors")
    chosen = models.choose("")
    assert (chosen.name, chosen.note) == ("htdemucs", "")


def test_the_deployment_may_name_a_path(of, tmp_path):
    shutil.copy(TINY, tmp_path / "elsewhere.safetensors")
    models = of(str(tmp_path / "elsewhere.safetensors"))
    assert models.load(models.choose("")).name == "elsewhere"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-such-model", f"one of .*{BUNDLED}.*, or a name in the bucket"),
        ("training", "one of"),  # a folder, but of no weights
        ("htdemucs_ft", "no hub can be reached"),
        ("955717e8", "no hub can be reached"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_at_once_with_what_there_is(of, name, says):
    models = of()
    with pytest.raises(BadOption, match=f"model is '{name}'.*{says}"):
        models.load(models.choose(name))


def test_weights_that_cannot_be_read_are_the_options_fault_not_a_crash(of, caplog):
    models = of()
    (models.settings.folder / "broken.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(BadOption, match="broken"), caplog.at_level(logging.WARNING):
        models.load(models.choose("broken"))
    assert "cannot be used" in caplog.text


def test_a_model_for_another_rate_is_refused(of):
    models = of()
    pickled(models.settings.folder, "slow.th", samplerate=22_050)
    with pytest.raises(BadOption, match="2 channels at 22050 Hz"):
        models.load(models.choose("slow"))


def test_the_last_two_models_stay_loaded(of):
    models = of()
    for name in ("one", "two", "three"):
        shutil.copy(TINY, models.settings.folder / f"{name}.safetensors")
    one, two, three = (models.load(models.choose(name)) for name in ("one", "two", "three"))
    assert models.load(models.choose("three")) is three
    assert models.load(models.choose("two")) is two
    assert models.load(models.choose("one")) is not one


def test_the_bundled_weights_are_the_ones_described():
    network = load_safetensors_model(TINY)
    assert sum(one.numel() for one in network.parameters()) == 1_567_064
