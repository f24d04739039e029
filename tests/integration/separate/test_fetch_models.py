"""The program that fetches models, with a hub on this machine and a real store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio

from functions.separate.engine.openvino_backend import prepared_model
from microdemucs.models.catalogue import RECORD_KEY, ModelsRecord
from microdemucs.paths import ROOT
from testing.hub_server import Hub, hub_server
from testing.network_files import HDEMUCS, network_file
from testing.stack import Stack
from tests.integration.separate.engine.comparison import WEIGHTS
from tests.integration.separate.engine.fetching import environment


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with two released models; the second one has two networks, and cannot be built."""
    with hub_server() as hub:
        hub.add(
            "adefossez/HTDemucs",
            {"htdemucs.yaml": b"models: [955717e8]", "955717e8.safetensors": WEIGHTS.read_bytes()},
        )
        older = network_file(HDEMUCS)
        hub.add(
            "adefossez/Demucs-hdemucs_mmi",
            {"hdemucs_mmi.yaml": b"models: [75fc33f5]", "75fc33f5.safetensors": older},
        )
        pair = {f"{name}.safetensors": WEIGHTS.read_bytes() for name in ("f7e0c4bc", "d12395a8")}
        hub.add("mine/HTDemucs-ft", {"htdemucs_ft.yaml": b"models: [f7e0c4bc, d12395a8]", **pair})
        yield hub


@pytest.fixture
def stored(root: Minio) -> Iterator[Minio]:
    """The store, with an empty bucket of models before and after the test."""
    empty(root)
    yield root
    empty(root)


def empty(store: Minio) -> None:
    """Remove all objects from the bucket of models: other tests use the same store."""
    for key in names(store):
        store.remove_object("models", key)


def run(
    hub: Hub, stack: Stack, home: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the program with the rights of its own user in the store."""
    keys = stack.connection("models")
    chosen = {"HF_ENDPOINT": hub.url, "ENGINE": "openvino", "PRECISION": "f32"} | settings
    return subprocess.run(
        [sys.executable, "-m", "functions.separate.fetch_models", *arguments],
        cwd=ROOT,
        env=environment(home, **keys, **chosen),
        capture_output=True,
        text=True,
        timeout=200,
    )


def names(store: Minio) -> list[str]:
    """Return the keys in the bucket of models, in their order."""
    return [str(found.object_name) for found in store.list_objects("models", recursive=True)]


def test_models_are_put_into_the_bucket(
    hub: Hub, stack: Stack, stored: Minio, tmp_path: Path
) -> None:
    done = run(hub, stack, tmp_path, "--into", "bucket", "htdemucs", "mine/htdemucs_ft")
    assert done.returncode == 0, done.stderr
    assert names(stored) == [
        "htdemucs/955717e8.safetensors",
        "htdemucs/htdemucs.yaml",
        "htdemucs_ft/d12395a8.safetensors",
        "htdemucs_ft/f7e0c4bc.safetensors",
        "htdemucs_ft/htdemucs_ft.yaml",
    ]
    weights = stored.get_object("models", "htdemucs/955717e8.safetensors")
    assert weights.data == WEIGHTS.read_bytes()


def test_one_model_that_fails_does_not_keep_the_others_away(
    hub: Hub, stack: Stack, stored: Minio, tmp_path: Path
) -> None:
    done = run(hub, stack, tmp_path, "--into", "bucket", "hdemucs_mmi", "no-such", "htdemucs")
    assert done.returncode == 1
    assert "hdemucs_mmi failed: OpenVINO cannot run it" in done.stderr
    assert "no-such failed: there is no adefossez/" in done.stderr
    assert names(stored) == ["htdemucs/955717e8.safetensors", "htdemucs/htdemucs.yaml"]


def test_a_model_in_the_folder_is_prepared_and_published(
    hub: Hub, stack: Stack, stored: Minio, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    done = run(hub, stack, tmp_path, "--into", "folder", "htdemucs", MODELS_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    [prepared] = folder.glob(f"htdemucs/compiled/*/{prepared_model.NAME}")
    assert os.access(prepared, os.R_OK)
    record = ModelsRecord.read(stored.get_object("models", RECORD_KEY).data)
    assert {"htdemucs", "htdemucs_tiny"} <= {model.name for model in record.models if model.facts}
    hub.repositories.clear()
    again = run(hub, stack, tmp_path, "--into", "folder", "htdemucs", MODELS_DIR=str(folder))
    assert again.returncode == 0, again.stderr


def test_a_setting_that_cannot_be_used_ends_the_program(
    hub: Hub, stack: Stack, tmp_path: Path
) -> None:
    done = run(hub, stack, tmp_path, "--into", "bucket", "htdemucs", ENGINE="steam")
    assert done.returncode == 1
    assert "ENGINE is 'steam'" in done.stderr
