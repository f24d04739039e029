"""Models in the bucket of models. tests/unit has folders and paths."""

import io
from pathlib import Path

import pytest
from minio import Minio

from functions.separate.engine.locate import LocatedModel, ModelLocator, OpenBucket
from microdemucs.bucket import Bucket


@pytest.fixture
def locator(open_models_bucket: OpenBucket, tmp_path: Path) -> ModelLocator:
    return ModelLocator(open_models_bucket, tmp_path / "models", tmp_path / "cache")


def put(root: Minio, key: str, data: bytes = b"data") -> None:
    root.put_object("models", key, io.BytesIO(data), len(data))


def test_a_model_in_the_bucket_is_downloaded(
    locator: ModelLocator, root: Minio, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    put(root, f"{name}/weights.safetensors", b"weights")
    found = locator.find(name)
    assert found
    assert found.weights
    assert found == LocatedModel(name, found.weights)
    assert [file.name for file in found.weights.iterdir()] == ["weights.safetensors"]
    assert (found.weights / "weights.safetensors").read_bytes() == b"weights"


def test_a_folder_of_the_bucket_without_weights_is_no_model(
    locator: ModelLocator, root: Minio, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    put(root, f"{name}/README")
    assert locator.find(name) is None


def test_it_is_downloaded_again_only_if_it_changed(
    locator: ModelLocator, root: Minio, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    put(root, f"{name}/weights.th", b"first")
    first = locator.find(name)
    assert first
    assert first.weights
    modified = (first.weights / "weights.th").stat().st_mtime_ns
    assert locator.find(name) == first
    assert (first.weights / "weights.th").stat().st_mtime_ns == modified
    put(root, f"{name}/weights.th", b"second")
    second = locator.find(name)
    assert second
    assert second.weights
    assert (second.weights / "weights.th").read_bytes() == b"second"
    assert len(list(locator.cache.iterdir())) == 2


def test_a_name_that_is_not_in_the_bucket_is_not_found(locator: ModelLocator) -> None:
    assert locator.find("no-such-model") is None


def test_a_missing_bucket_has_no_models(root: Minio, tmp_path: Path) -> None:
    locator = ModelLocator(lambda: Bucket(root, "no-such-bucket"), tmp_path, tmp_path / "cache")
    assert locator.find("mine") is None
