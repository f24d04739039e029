import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from functions.separate.engine import CannotBuild, UnusableWeights
from functions.separate.engine.htdemucs.weights import Tensors, read_network_file

METADATA = {
    "klass": "demucs.htdemucs.HTDemucs",
    "args": "[]",
    "kwargs": json.dumps({"segment": {"_type": "fraction", "numerator": 39, "denominator": 5}}),
}


def write(path: Path, metadata: dict[str, str] | None) -> Path:
    file = path / "network.safetensors"
    save_file({"encoder.0.conv.bias": np.array([0.5, 1], np.float16)}, file, metadata=metadata)
    return file


def test_a_file_has_its_class_its_arguments_and_its_tensors(tmp_path: Path) -> None:
    network = read_network_file(write(tmp_path, METADATA))
    assert network.class_name == "demucs.htdemucs.HTDemucs"
    assert (network.positional, network.keywords) == ([], {"segment": Fraction(39, 5)})
    bias = network.tensors.at("encoder").at(0).at("conv")["bias"]
    assert bias.tolist() == [0.5, 1.0]
    assert bias.dtype == np.float32


def test_a_missing_tensor_is_named() -> None:
    tensors = Tensors({"a.b": np.zeros(1)})
    assert "b" in tensors.at("a")
    assert "c" not in tensors.at("a")
    with pytest.raises(CannotBuild, match=r"no tensor a\.c"):
        tensors.at("a")["c"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"klass": None}, "lacks 'klass' in its metadata"),
        ({"kwargs": None}, "lacks 'kwargs' in its metadata"),
        ({"kwargs": "{"}, "no readable safetensors file"),
        ({"args": "5", "kwargs": '{"segment": {"_type": "fraction"}}'}, "lacks"),
    ],
)
def test_metadata_that_cannot_be_read_is_an_error(
    tmp_path: Path, change: dict[str, str | None], reason: str
) -> None:
    metadata = {name: value for name, value in (METADATA | change).items() if value is not None}
    with pytest.raises(UnusableWeights, match=reason):
        read_network_file(write(tmp_path, metadata))


def test_a_file_without_metadata_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnusableWeights, match="metadata"):
        read_network_file(write(tmp_path, None))


@pytest.mark.parametrize("data", [b"", b"not weights", (10**9).to_bytes(8, "little") + b"{}"])
def test_another_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "network.safetensors"
    file.write_bytes(data)
    with pytest.raises(UnusableWeights, match="no readable safetensors file"):
        read_network_file(file)


def test_quantized_weights_are_left_to_torch(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="quantized"):
        read_network_file(write(tmp_path, METADATA | {"structure": "{}"}))
