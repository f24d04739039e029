"""The model of `make run` is downloaded, and the hub asked only if it is not on this machine."""

import socket
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from functions.separate.engine.locate import BUNDLED, ModelLocator
from local.model_fetch import NOT_REPLACEABLE
from testing.hub_server import Hub, hub_server
from tests.integration.models.preparing import NOWHERE, run

FILES = {"htdemucs.yaml": b"models: ['955717e8']", "955717e8.safetensors": b"weights" * 99}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as hub:
        hub.add("adefossez/HTDemucs", FILES)
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of models."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def fetch(folder: Path, hub: str, **variables: str) -> CompletedProcess[str]:
    return run("fetch_default.py", folder, hub, MODELS_DIR=str(folder), **variables)


def found(folder: Path, name: str) -> Path | None:
    """Return where the service finds the model."""
    cache = folder.parent / f"{folder.name}-home" / "cache"
    model = ModelLocator(None, folder, cache).find(name)
    return model.weights if model else None


def test_the_full_model_is_downloaded_to_where_it_is_found(hub: Hub, folder: Path) -> None:
    result = fetch(folder, hub.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "1.000"
    weights = found(folder, "htdemucs")
    assert weights
    assert (weights / "955717e8.safetensors").read_bytes() == FILES["955717e8.safetensors"]


def test_a_model_that_is_there_is_not_asked_for(hub: Hub, folder: Path) -> None:
    fetch(folder, hub.url)
    hub.requests.clear()
    result = fetch(folder, hub.url)
    assert (result.returncode, result.stdout, hub.requests) == (0, "", [])


def test_a_model_in_the_folder_is_not_asked_for(hub: Hub, folder: Path) -> None:
    (folder / "htdemucs.safetensors").touch()
    assert fetch(folder, hub.url).returncode == 0
    assert hub.requests == []


@pytest.mark.parametrize("model", [BUNDLED, "models/htdemucs_tiny", "no-such-model"])
def test_other_models_are_not_asked_for(hub: Hub, folder: Path, model: str) -> None:
    assert fetch(folder, hub.url, MODEL=model).returncode == 0
    assert hub.requests == []


def test_without_a_hub_one_line_says_what_is_used_and_how_to_get_more(folder: Path) -> None:
    result = fetch(folder, NOWHERE)
    assert (result.returncode, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("htdemucs cannot be fetched: http://127.0.0.1:9 cannot be reached")
    assert line.endswith(
        "The small htdemucs_tiny is used; `make models MODEL=htdemucs` gets the full one"
    )
    assert found(folder, "htdemucs") is None


def test_a_hub_that_hangs_is_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = fetch(folder, url, HF_HUB_ETAG_TIMEOUT="3")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "does not answer. The small htdemucs_tiny is used" in line


def test_a_model_that_was_named_is_not_replaced(folder: Path) -> None:
    result = fetch(folder, NOWHERE, MODEL="htdemucs_ft")
    assert result.returncode == NOT_REPLACEABLE
    [line] = result.stderr.splitlines()
    assert line.startswith("htdemucs_ft cannot be fetched: ")
    assert line.endswith("; without MODEL=htdemucs_ft there is htdemucs_tiny")
