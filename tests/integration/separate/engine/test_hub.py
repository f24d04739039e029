"""Downloads from a hub: what arrives, what is used, and what is said if it cannot be had.

tests/unit has names and the hub's cache.
"""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.separate.engine.released_models import MODELS
from microdemucs.paths import ROOT
from testing.hub_server import Hub, hub_server
from testing.waiting import wait_until
from tests.integration.separate.engine.fetching import environment, fetch, start_fetch

SIZE = 2_000_000
NETWORKS = MODELS["htdemucs_ft"].networks
FIRST = f"{NETWORKS[0]}.safetensors"


@pytest.fixture
def files() -> dict[str, bytes]:
    """The files of htdemucs_ft's repository, with noise in the place of weights."""
    draw = random.Random(1)
    weights = {f"{network}.safetensors": draw.randbytes(SIZE) for network in NETWORKS}
    listing = "models: [" + ", ".join(f"'{network}'" for network in NETWORKS) + "]\n"
    return {"htdemucs_ft.yaml": listing.encode(), "README.md": b"# htdemucs_ft", **weights}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub with htdemucs_ft."""
    with hub_server() as hub:
        hub.add("adefossez/HTDemucs-ft", files)
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the model is to be."""
    return tmp_path / "models" / "htdemucs_ft"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def without_readme(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name != "README.md"}


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


def test_two_processes_download_once(hub: Hub, folder: Path, files: dict[str, bytes]) -> None:
    processes = [start_fetch(hub, "htdemucs_ft", folder) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0]
    assert len(hub.downloads()) == len(NETWORKS)
    assert content(folder) == without_readme(files)


def test_a_download_that_is_cut_off_goes_on(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, 0]
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    ranges = [requested for name, requested in hub.downloads() if name == FIRST]
    assert ranges == ["", "bytes=1500000-", "bytes=1500000-"]
    assert content(folder) == without_readme(files)


def test_a_server_without_ranges_sends_all_of_it_again(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.ranges = False
    hub.cut[FIRST] = [1_500_000]
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert content(folder) == without_readme(files)


def test_a_process_continues_what_a_killed_one_left(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    process = start_fetch(hub, "htdemucs_ft", folder)
    wait_until(lambda: len(hub.downloads()) > 1, 60, "the download goes on after it was cut")
    process.kill()
    process.communicate()
    assert not folder.exists()
    hub.cut.clear()
    hub.requests.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert hub.downloads()[0] == (FIRST, "bytes=1500000-")
    assert content(folder) == without_readme(files)


def test_a_download_that_ends_for_good_says_that_it_can_be_continued(
    hub: Hub, folder: Path
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed.startswith(f"HubUnreachable the download of {FIRST} was cut off (")
    assert printed.endswith("; the next attempt continues it")
    assert not folder.exists()


def test_what_was_left_of_an_older_commit_is_not_continued(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    hub.cut[FIRST] = [1_500_000, *[0] * 99]
    fetch(hub, "htdemucs_ft", folder)
    newer = files | {FIRST: files[FIRST][::-1]}
    hub.add("adefossez/HTDemucs-ft", newer)
    hub.cut.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    assert content(folder) == without_readme(newer)


@pytest.mark.parametrize("file", [FIRST, "htdemucs_ft.yaml"])
def test_a_file_with_another_checksum_is_not_used(
    hub: Hub, folder: Path, files: dict[str, bytes], file: str
) -> None:
    hub.sent[file] = files[file][:-1] + b"!"
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed.startswith(f"CannotFetch {file} arrived damaged from adefossez/HTDemucs-ft on ")
    assert not folder.exists()
    hub.sent.clear()
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"


def test_a_folder_that_exists_gets_the_files(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    (folder / "compiled").mkdir(parents=True)
    assert fetch(hub, "htdemucs_ft", folder) == "1.0"
    (folder / "compiled").rmdir()
    assert content(folder) == without_readme(files)


def test_a_token_is_sent_to_the_hub_and_not_to_its_cdn(hub: Hub, folder: Path) -> None:
    hub.repositories["adefossez/HTDemucs-ft"].token = "hf_secret"
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed.startswith("CannotFetch there is no adefossez/HTDemucs-ft on http://127.0.0.1:")
    assert "or it needs a token (HF_TOKEN)" in printed
    assert fetch(hub, "htdemucs_ft", folder, HF_TOKEN="hf_secret") == "1.0"


@pytest.mark.parametrize(
    ("status", "kind"), [(503, "HubUnreachable"), (429, "HubUnreachable"), (418, "CannotFetch")]
)
def test_a_hub_that_answers_with_an_error_is_quoted(
    hub: Hub, folder: Path, status: int, kind: str
) -> None:
    hub.status = status
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed == f"{kind} {hub.url} answers with status {status}"


def test_a_gated_repository_asks_for_a_token(hub: Hub, folder: Path) -> None:
    hub.repositories["adefossez/HTDemucs-ft"].gated = True
    assert "for certain accounts: set HF_TOKEN" in fetch(hub, "htdemucs_ft", folder)


def test_a_repository_that_lacks_a_network_is_named(
    hub: Hub, folder: Path, files: dict[str, bytes]
) -> None:
    del hub.repositories["adefossez/HTDemucs-ft"].files[FIRST]
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed == f"CannotFetch adefossez/HTDemucs-ft on {hub.url} has no file {FIRST}"
    assert not folder.exists()


@pytest.mark.parametrize(
    "listing", [b"<html>", b"models: []", b"models: ['../../secret']", b"models: 3", b"models: [/]"]
)
def test_a_list_that_is_none_is_refused(hub: Hub, folder: Path, listing: bytes) -> None:
    hub.add("adefossez/HTDemucs-ft", {"htdemucs_ft.yaml": listing})
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed == f"CannotFetch {hub.url} sent a htdemucs_ft.yaml that is no list of networks"


def test_offline_mode_asks_nobody(hub: Hub, folder: Path) -> None:
    printed = fetch(hub, "htdemucs_ft", folder, HF_HUB_OFFLINE="1")
    assert printed == "CannotFetch HF_HUB_OFFLINE is set"
    assert hub.requests == []


def test_a_hub_that_refuses_connections_is_unreachable(folder: Path) -> None:
    printed = fetch("http://127.0.0.1:9", "htdemucs_ft", folder)
    assert printed.startswith("HubUnreachable http://127.0.0.1:9 cannot be reached: ")
    assert not folder.parent.exists()


def test_a_hub_whose_name_is_unknown_is_unreachable(folder: Path) -> None:
    printed = fetch("http://hub.invalid", "htdemucs_ft", folder)
    assert printed.startswith("HubUnreachable http://hub.invalid ")


def test_a_hub_that_hangs_is_unreachable(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        printed = fetch(url, "htdemucs_ft", folder, HF_HUB_ETAG_TIMEOUT="3")
    assert printed == f"HubUnreachable {url} does not answer"


def test_a_server_that_is_no_hub_is_named(folder: Path, hub: Hub) -> None:
    hub.status = 200
    printed = fetch(hub, "htdemucs_ft", folder)
    assert printed == f"CannotFetch {hub.url} does not answer as a hub does: is HF_ENDPOINT right?"


def test_demucs_older_server_cannot_be_asked_offline(folder: Path) -> None:
    printed = fetch(
        "http://127.0.0.1:9", "mdx", folder, function="fetch_pickles", HF_HUB_OFFLINE="1"
    )
    assert printed == "CannotFetch HF_HUB_OFFLINE is set"


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
