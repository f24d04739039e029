"""The record and the models in a real bucket, read with the function's own rights."""

import io
from collections.abc import Callable, Iterator

import pytest

from functions.upload.bucket_of_models import BucketOfModels
from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.models.catalogue import RECORD_KEY, Location, ModelEntry, ModelsRecord
from microdemucs.models.description import OPENVINO, TORCH
from microdemucs.problems import RetryLater
from testing.network_files import HDEMUCS, SOURCES, network_file
from testing.stack import Stack

PutFile = Callable[[str, bytes], None]


@pytest.fixture
def models(stack: Stack) -> Bucket:
    """The bucket of models, with the function's own rights."""
    return Bucket(store.connect(stack.store_settings("upload")), "models")


@pytest.fixture
def put(stack: Stack) -> Iterator[PutFile]:
    """Puts an object into the bucket of models until the test ends."""

    def put(key: str, data: bytes) -> None:
        stack.store.put_object("models", key, io.BytesIO(data), len(data))

    yield put
    for found in stack.store.list_objects("models", recursive=True):
        stack.store.remove_object("models", str(found.object_name))


def found(models: BucketOfModels) -> dict[str, ModelEntry]:
    return {model.name: model for model in models.catalogue().usable}


def test_an_empty_bucket_has_the_bundled_model_and_no_record(models: Bucket) -> None:
    catalogue = BucketOfModels(models).catalogue()
    assert [model.name for model in catalogue.usable] == ["htdemucs_tiny"]
    assert not catalogue.is_complete


def test_a_model_counts_as_soon_as_its_last_file_is_there(models: Bucket, put: PutFile) -> None:
    in_bucket = BucketOfModels(models)
    put("pair/pair.yaml", b"models: [a, b]")
    put("pair/a.safetensors", network_file())
    assert "pair" not in found(in_bucket)
    put("pair/b.safetensors", network_file())
    pair = found(in_bucket)["pair"]
    assert pair.location == Location.BUCKET
    assert pair.facts
    assert (pair.facts.sources, pair.facts.segment, pair.facts.networks) == (SOURCES, 7.8, 2)


def test_a_replaced_model_is_described_anew(models: Bucket, put: PutFile) -> None:
    in_bucket = BucketOfModels(models)
    put("mine/a.safetensors", network_file())
    assert "mine" in found(in_bucket)
    put("mine/a.safetensors", network_file(sources=["vocals", "other"]))
    facts = found(in_bucket)["mine"].facts
    assert facts
    assert facts.sources == ["vocals", "other"]


def test_the_record_names_the_engines_that_may_run_a_model(models: Bucket, put: PutFile) -> None:
    in_bucket = BucketOfModels(models)
    put("old/a.safetensors", network_file(HDEMUCS))
    put(RECORD_KEY, ModelsRecord(engines=[OPENVINO], models=[]).write())
    assert "old" not in found(in_bucket)
    put(RECORD_KEY, ModelsRecord(engines=[OPENVINO, TORCH], models=[]).write())
    assert "old" in found(in_bucket)


def test_other_objects_are_no_models(models: Bucket, put: PutFile) -> None:
    put("README.md", b"text")
    put("notes/README.md", b"text")
    put("deep/compiled/x/a.safetensors", network_file())
    put("empty/a.safetensors", b"")
    put("junk/a.safetensors", b"junk")
    assert list(found(BucketOfModels(models))) == ["htdemucs_tiny"]


def test_a_record_that_cannot_be_read_counts_as_none(models: Bucket, put: PutFile) -> None:
    put(RECORD_KEY, b"[]")
    assert not BucketOfModels(models).catalogue().is_complete


def test_without_the_bucket_there_are_no_models_in_it(stack: Stack) -> None:
    root = store.connect(stack.store_settings("provision"))
    catalogue = BucketOfModels(Bucket(root, "no-such-bucket")).catalogue()
    assert [model.name for model in catalogue.usable] == ["htdemucs_tiny"]


def test_a_bucket_that_may_not_be_read_is_temporary(stack: Stack) -> None:
    stranger = store.connect(stack.store_settings("notify"))
    with pytest.raises(RetryLater):
        BucketOfModels(Bucket(stranger, "models")).catalogue()
