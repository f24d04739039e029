"""Downloads of a model from a hub. tests/unit has names and the hub's cache."""

import subprocess
import sys
from pathlib import Path

import pytest

from microdemucs.paths import ROOT
from testing.hub_server import Hub
from tests.integration.separate.engine.fetching import (
    NETWORKS,
    content,
    environment,
    fetch,
    without_readme,
)


def test_an_ensemble_is_downloaded_with_its_list(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert content(folder) == without_readme(files)


def test_a_network_is_downloaded_by_its_signature(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    assert fetch(hub, NETWORKS[1], folder) == "1.0"
    name = f"{NETWORKS[1]}.safetensors"
    assert content(folder) == {name: files[name]}


def test_another_account_is_asked_if_the_operator_names_it(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.repositories = {"studio/HTDemucs-ft": hub.repositories["adefossez/HTDemucs-ft"]}
    assert fetch(hub, "htdemucs_ft", folder, "studio") == "1.0"
    assert content(folder) == without_readme(files)


def test_a_model_that_is_there_is_not_downloaded_again(hub: Hub, folder: Path) -> None:
    fetch(hub, "htdemucs_ft", folder)
    before = hub.downloads()
    fetch(hub, "htdemucs_ft", folder)
    assert hub.downloads() == before


@pytest.mark.parametrize(
    "listing", [b"<html>", b"models: []", b"models: ['../../secret']", b"models: 3", b"models: [/]"]
)
def test_a_list_that_is_none_is_refused(hub: Hub, folder: Path, listing: bytes) -> None:
    hub.add("adefossez/HTDemucs-ft", {"htdemucs_ft.yaml": listing})
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed == f"CannotFetch {hub.url} sent a htdemucs_ft.yaml that is no list of networks"


def test_a_look_up_imports_neither_the_hubs_client_nor_demucs(tmp_path: Path) -> None:
    program = """
import sys
from functions.separate.engine import hub
hub.cached("htdemucs"), hub.names(), hub.fetches_on_demand()
print({"huggingface_hub", "httpx2", "demucs", "torch", "yaml"} & set(sys.modules))
"""
    printed = subprocess.check_output(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(tmp_path), text=True
    )
    assert printed.strip() == "set()"
