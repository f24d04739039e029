"""The record of usable models in a real bucket, written with the function's own rights."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio

from functions.separate.engine.locate import OpenBucket
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from functions.separate.publish_models import ModelsPublisher
from microdemucs.bucket import Bucket
from microdemucs.models.catalogue import RECORD_KEY, ModelsRecord
from testing.function_process import function_process
from testing.network_files import network_file
from tests.integration.separate.test_main import SERVICE


@pytest.fixture
def bucket(root: Minio, open_models_bucket: OpenBucket) -> Iterator[Bucket]:
    """The bucket of models, without a record before and after the test."""
    root.remove_object("models", RECORD_KEY)
    yield open_models_bucket()
    root.remove_object("models", RECORD_KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of models."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def publisher(folder: Path, bucket: Bucket) -> ModelsPublisher:
    """The publisher of a process that has this folder of models."""
    settings = ModelSettings(folder=folder, cache=folder.parent / "cache")
    return ModelsPublisher(ModelRegistry(settings), bucket)


def names(bucket: Bucket) -> set[str]:
    """Return the names of the models in the record, if there is one."""
    text = bucket.read(RECORD_KEY)
    return {model.name for model in ModelsRecord.read(text).models} if text else set()


def test_the_record_is_written_and_follows_the_folder(folder: Path, bucket: Bucket) -> None:
    process = publisher(folder, bucket)
    process.publish()
    assert "htdemucs_tiny" in names(bucket)
    assert "mine" not in names(bucket)
    (folder / "mine.safetensors").write_bytes(network_file())
    process.publish_once()
    assert "mine" not in names(bucket)
    process.publish()
    assert "mine" in names(bucket)


def test_an_old_process_does_not_undo_the_record_of_a_new_one(
    folder: Path, bucket: Bucket, tmp_path: Path
) -> None:
    old, new = publisher(folder, bucket), publisher(tmp_path / "new", bucket)
    old.publish()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.safetensors").write_bytes(network_file())
    new.publish()
    old.publish()
    assert "mine" in names(bucket)


def test_a_lost_record_is_written_again(folder: Path, bucket: Bucket, root: Minio) -> None:
    process = publisher(folder, bucket)
    process.publish()
    root.remove_object("models", RECORD_KEY)
    process.publish()
    assert names(bucket)


def test_a_bucket_that_does_not_exist_is_logged_once(
    folder: Path, root: Minio, caplog: pytest.LogCaptureFixture
) -> None:
    process = publisher(folder, Bucket(root, "no-such-bucket"))
    with caplog.at_level(logging.WARNING):
        process.publish()
        process.publish()
    assert [record.getMessage() for record in caplog.records] == ["models not published"]


def test_a_process_that_is_ready_has_published_its_models(
    settings: dict[str, str], folder: Path, bucket: Bucket, tmp_path: Path
) -> None:
    (folder / "mine.safetensors").write_bytes(network_file())
    with function_process(SERVICE, settings | {"MODELS_DIR": str(folder)}, tmp_path / "output"):
        assert {"mine", "htdemucs_tiny"} <= names(bucket)
