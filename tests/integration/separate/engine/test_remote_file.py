"""What is said of a hub that does not answer, or that refuses."""

import socket
from pathlib import Path

import pytest

from testing.hub_server import Hub
from tests.integration.separate.engine.fetching import FIRST, fetch


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
