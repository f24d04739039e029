from fractions import Fraction
from pathlib import Path

import pytest

from functions.separate.engine import UnusableWeights
from functions.separate.engine.bag import Bag, read_bag


def touch(file: Path) -> Path:
    file.touch()
    return file


def test_a_file_is_a_bag_of_one(tmp_path: Path) -> None:
    assert read_bag(tmp_path / "mine.safetensors", "mine") == Bag([tmp_path / "mine.safetensors"])


def test_a_folder_may_have_one_file_and_no_list(tmp_path: Path) -> None:
    file = touch(tmp_path / "955717e8.safetensors")
    assert read_bag(tmp_path, "mine") == Bag([file])


def test_the_list_decides_on_order_weights_and_segment(tmp_path: Path) -> None:
    files = [touch(tmp_path / name) for name in ("b.safetensors", "a-01234567.th")]
    (tmp_path / "mine.yaml").write_text("models: [b, a]\nweights: [[1.0], [0.5]]\nsegment: 2.5")
    bag = read_bag(tmp_path, "mine")
    assert bag.files == files
    assert (bag.description.weights, bag.description.segment) == ([[1.0], [0.5]], Fraction(5, 2))
    assert bag.has_pickles


def test_safetensors_come_before_the_pickle_that_they_were_made_from(tmp_path: Path) -> None:
    touch(tmp_path / "a-01234567.th")
    converted = touch(tmp_path / "a.safetensors")
    assert read_bag(tmp_path, "mine").files == [converted]
    (tmp_path / "mine.yaml").write_text("models: [a]")
    assert read_bag(tmp_path, "mine").files == [converted]


@pytest.mark.parametrize("names", [[], ["a.th", "b.safetensors"]])
def test_several_files_need_a_list(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        touch(tmp_path / name)
    with pytest.raises(UnusableWeights, match=f"no .yaml file and {len(names)} files of weights"):
        read_bag(tmp_path, "mine")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("models: [a]")
    with pytest.raises(UnusableWeights, match="the weights a of the ensemble are missing"):
        read_bag(tmp_path, "mine")


@pytest.mark.parametrize(
    "text",
    ["[1]", "models: 5", "{", "weights: []", "models: [a]\nsegment: x"],
)
def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    touch(tmp_path / "a.safetensors")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UnusableWeights, match=r"mine\.yaml is no list of networks"):
        read_bag(tmp_path, "mine")
