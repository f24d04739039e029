"""A model that is not on this machine is downloaded, or one line says what to do."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.released_models import MODELS
from testing.hub_server import Hub, hub_server
from testing.random_network import random_network
from testing.release import release
from tests.integration.models.preparing import prepare
from tests.integration.separate.engine.comparison import WEIGHTS
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with htdemucs and htdemucs_ft, as released but for their size and weights."""
    with hub_server() as hub:
        hub.add("adefossez/HTDemucs", release("htdemucs", [small_htdemucs()]))
        ensemble = [small_htdemucs(t_layers=layers) for layers in (1, 2, 3, 4)]
        hub.add("adefossez/HTDemucs-ft", release("htdemucs_ft", ensemble))
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of models."""
    return tmp_path / "models"


def prepared(folder: Path) -> prepared_model.PreparedModel:
    [file] = folder.glob(f"compiled/*/{prepared_model.NAME}")
    return prepared_model.read(file.parent)


def test_a_model_is_downloaded_and_prepared(hub: Hub, folder: Path) -> None:
    result = prepare("htdemucs", folder, hub.url)
    assert result.returncode == 0, result.stderr
    assert "fetching htdemucs " in result.stdout
    assert result.stdout.endswith(f"{folder / 'htdemucs'}\n")
    assert len(prepared(folder / "htdemucs").networks) == 1
    assert f"{MODELS['htdemucs'].networks[0]}.safetensors" in str(
        list((folder / "htdemucs").iterdir())
    )


def test_an_ensemble_is_downloaded_and_prepared(hub: Hub, folder: Path) -> None:
    result = prepare("htdemucs_ft", folder, hub.url)
    assert result.returncode == 0, result.stderr
    assert len(prepared(folder / "htdemucs_ft").networks) == 4


def test_the_full_size_network_is_downloaded_and_prepared(hub: Hub, folder: Path) -> None:
    hub.add("adefossez/HTDemucs", release("htdemucs", [random_network()]))
    result = prepare("htdemucs", folder, hub.url)
    assert result.returncode == 0, result.stderr
    assert len(prepared(folder / "htdemucs").networks) == 1


def test_a_model_that_is_there_is_not_downloaded_again(hub: Hub, folder: Path) -> None:
    prepare("htdemucs", folder, hub.url)
    hub.requests.clear()
    assert prepare("htdemucs", folder, hub.url).returncode == 0
    assert hub.requests == []


@pytest.mark.parametrize("name", ["studio/htdemucs", "hf://studio/htdemucs"])
def test_another_account_is_named_before_the_model(hub: Hub, folder: Path, name: str) -> None:
    hub.repositories = {"studio/HTDemucs": hub.repositories["adefossez/HTDemucs"]}
    result = prepare(name, folder, hub.url)
    assert result.returncode == 0, result.stderr
    assert prepared(folder / "htdemucs")


def test_another_account_may_have_models_of_its_own(hub: Hub, folder: Path) -> None:
    listing = yaml.safe_dump({"models": ["drumming"]}).encode()
    files = {"drumming.yaml": listing, "drumming.safetensors": WEIGHTS.read_bytes()}
    hub.add("studio/Demucs-drumming", files)
    result = prepare("studio/drumming", folder, hub.url)
    assert result.returncode == 0, result.stderr
    assert prepared(folder / "drumming")


def test_the_setting_names_the_account_of_all_models(hub: Hub, folder: Path) -> None:
    hub.repositories = {"studio/HTDemucs": hub.repositories["adefossez/HTDemucs"]}
    assert prepare("htdemucs", folder, hub.url, HUB_NAMESPACE="studio").returncode == 0


def test_a_model_in_the_hubs_own_cache_is_copied(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--adefossez--HTDemucs"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    (snapshot / "htdemucs.yaml").write_text("models: ['955717e8']")
    shutil.copy(WEIGHTS, snapshot / "955717e8.safetensors")
    result = prepare("htdemucs", folder, HF_HUB_CACHE=str(tmp_path / "hub"))
    assert result.returncode == 0, result.stderr
    assert (folder / "htdemucs" / "955717e8.safetensors").exists()
    assert prepared(folder / "htdemucs")


def test_an_unknown_model_is_rejected_with_the_known_ones(folder: Path) -> None:
    result = prepare("no-such", folder)
    assert result.returncode == 1
    assert "there is no model 'no-such'; demucs has hdemucs_mmi, htdemucs" in result.stderr


@pytest.mark.parametrize(
    "name", ["../htdemucs", "a/b/htdemucs", "/htdemucs", "studio/..", "studio/"]
)
def test_a_name_that_leaves_the_folder_is_rejected(folder: Path, name: str) -> None:
    result = prepare(name, folder)
    assert result.returncode == 1
    assert f"there is no model {name!r}" in result.stderr


def test_without_a_hub_the_advice_is_another_machine(folder: Path) -> None:
    result = prepare("htdemucs", folder)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("htdemucs cannot be downloaded: http://127.0.0.1:9 cannot be reached: ")
    assert "run `make models MODEL=htdemucs` on one that has, and copy" in line


def test_a_failed_download_leaves_nothing(folder: Path) -> None:
    prepare("htdemucs", folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_one_line(hub: Hub, folder: Path) -> None:
    folder.write_text("a file, not a folder")
    result = prepare("htdemucs", folder, hub.url)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert str(folder) in line
