from fractions import Fraction

import pytest

from microdemucs.models import UnusableWeights
from microdemucs.models.ensemble import (
    EnsembleDescription,
    description_file,
    network_file,
    only_network,
    parse_description,
)


def test_a_description_has_signatures_weights_and_a_segment() -> None:
    text = "models: ['f7e0c4bc', 'd12395a8']\nweights: [[1.0], [0.5]]\nsegment: 44"
    assert parse_description("ft.yaml", text) == EnsembleDescription(
        ["f7e0c4bc", "d12395a8"], [[1.0], [0.5]], Fraction(44)
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "models", "[]", "models: ", "models: []", "models: 5", "{", "\x00"),
        *("models: [a]\nsegment: x", "models: [a]\nsegment: .inf", "models: [a]\nsegment: [1]"),
    ],
)
def test_another_text_is_no_description(text: str) -> None:
    with pytest.raises(UnusableWeights, match=r"^ft\.yaml is no list of networks"):
        parse_description("ft.yaml", text)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["a.yaml", "mine.yaml"], "mine.yaml"),
        (["b.yaml", "a.yaml"], "a.yaml"),
        (["a.safetensors"], None),
    ],
)
def test_the_description_of_the_models_name_comes_first(
    files: list[str], found: str | None
) -> None:
    assert description_file(files, "mine") == found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["a.th", "a-0123.th", "a.safetensors"], "a.safetensors"),
        (["a-0123.th", "a.th"], "a.th"),
        (["ab.th", "a-0123.th"], "a-0123.th"),
    ],
)
def test_safetensors_come_before_a_pickle(files: list[str], found: str) -> None:
    assert network_file(files, "a") == found


def test_a_network_without_a_file_is_named() -> None:
    with pytest.raises(UnusableWeights, match="the weights b of the ensemble are missing"):
        network_file(["a.safetensors"], "b")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["a.safetensors", "README.md"], "a.safetensors"),
        (["a-0123.th"], "a-0123.th"),
        (["a-0123.th", "a.safetensors"], "a.safetensors"),
    ],
)
def test_a_folder_may_have_one_network_and_no_description(files: list[str], found: str) -> None:
    assert only_network(files) == found


@pytest.mark.parametrize("files", [[], ["a.safetensors", "b.safetensors"]])
def test_several_networks_need_a_description(files: list[str]) -> None:
    with pytest.raises(UnusableWeights, match=f"no .yaml file and {len(files)} files of weights"):
        only_network(files)
