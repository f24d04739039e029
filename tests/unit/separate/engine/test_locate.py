"""Models in folders and at paths. tests/integration has the bucket of models."""

from pathlib import Path

import pytest

from functions.separate.engine.locate import (
    BUNDLED,
    LIMITED_QUALITY,
    LocatedModel,
    ModelLocator,
    files_of,
    find_at_path,
    find_bag,
    find_in_folder,
)
from microdemucs.paths import MODELS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of models."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def locator(folder: Path, tmp_path: Path) -> ModelLocator:
    return ModelLocator(None, folder, tmp_path / "cache")


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


@pytest.mark.parametrize("file", ["mine.safetensors", "mine.th", "mine-0123abcd.th"])
def test_a_file_of_weights_is_found_by_its_name(folder: Path, file: str) -> None:
    path = touch(folder / file)
    assert find_in_folder(folder, "mine") == LocatedModel("mine", path)


def test_a_folder_of_weights_is_found_by_its_name(folder: Path) -> None:
    own = touch(folder / "mine" / "955717e8.safetensors").parent
    assert find_in_folder(folder, "mine") == LocatedModel("mine", own)


def test_a_list_beside_its_weights_is_found_by_its_name(folder: Path) -> None:
    touch(folder / "mine.yaml")
    assert find_in_folder(folder, "mine") == LocatedModel("mine", folder)


def test_a_folder_without_weights_is_no_model(folder: Path) -> None:
    touch(folder / "mine" / "README")
    assert find_in_folder(folder, "mine") is None


def test_a_path_may_be_a_file(folder: Path) -> None:
    path = touch(folder / "mine.safetensors")
    assert find_at_path(path) == LocatedModel("mine", path)


def test_a_path_may_be_a_models_folder(folder: Path) -> None:
    own = touch(folder / "mine" / "mine.th").parent
    assert find_at_path(own) == LocatedModel("mine", own)


@pytest.mark.parametrize(
    ("weights", "own"),
    [
        ("mine", "mine"),
        ("mine/mine.th", "mine"),
        ("mine.safetensors", "mine"),
        ("mine-01234567.th", "mine"),
    ],
)
def test_a_model_has_a_folder_of_its_own(folder: Path, weights: str, own: str) -> None:
    (folder / "mine").mkdir()
    assert LocatedModel("mine", folder / weights).folder == folder / own


def test_an_ensembles_list_is_the_one_of_its_name(folder: Path) -> None:
    touch(folder / "a.yaml")
    touch(folder / "mine.yaml")
    assert find_bag(folder, "mine") == folder / "mine.yaml"


def test_an_ensembles_list_may_have_another_name(folder: Path) -> None:
    touch(folder / "a.yaml")
    assert find_bag(folder, "mine") == folder / "a.yaml"


def test_a_folder_may_have_no_list(folder: Path) -> None:
    assert find_bag(folder, "mine") is None


def test_the_files_of_an_ensemble_are_its_list_and_the_weights_in_it(folder: Path) -> None:
    (folder / "mine.yaml").write_text("models: ['aaaa', 'bbbb']\nweights: [[1.0], [0.5]]")
    listed = [touch(folder / "aaaa-01234567.th"), touch(folder / "bbbb.safetensors")]
    touch(folder / "cccc.th")
    assert files_of(folder, "mine") == [folder / "mine.yaml", *listed]


def test_the_files_of_a_folder_without_a_list_are_all_its_weights(folder: Path) -> None:
    files = [touch(folder / "a.th"), touch(folder / "b.safetensors")]
    touch(folder / "README")
    assert files_of(folder, "mine") == files


def test_the_digest_does_not_depend_on_file_names(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.th").write_bytes(b"weights")
    digests = {LocatedModel(name, folder / f"{name}.th").digest() for name in ("one", "two")}
    assert len(digests) == 1
    assert digests != {""}


def test_a_model_without_weights_has_no_digest(folder: Path) -> None:
    assert LocatedModel("mine", None).digest() == ""


def test_only_the_bundled_model_has_a_note() -> None:
    assert LocatedModel(BUNDLED, None).note == LIMITED_QUALITY
    assert LocatedModel("htdemucs", None).note == ""


def test_the_own_folder_takes_precedence_over_the_bundled_models(
    locator: ModelLocator, folder: Path
) -> None:
    own = touch(folder / BUNDLED / "weights.th").parent
    assert locator.find(BUNDLED) == LocatedModel(BUNDLED, own)


def test_the_bundled_model_is_always_found(locator: ModelLocator) -> None:
    assert locator.find(BUNDLED) == LocatedModel(BUNDLED, MODELS / BUNDLED)


def test_a_name_that_is_nowhere_is_not_found(locator: ModelLocator) -> None:
    assert locator.find("no-such-model") is None


def test_the_names_are_those_on_disk_and_of_demucs(locator: ModelLocator, folder: Path) -> None:
    touch(folder / "file.safetensors")
    touch(folder / "weights" / "0123abcd.th")
    touch(folder / "empty" / "README")
    names = locator.names()
    assert {"file", "weights", BUNDLED, "htdemucs_ft"} <= names
    assert not {"empty", "training", "955717e8"} & names
