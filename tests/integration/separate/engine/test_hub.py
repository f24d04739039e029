"""Whether a hub can be reached. tests/unit has names and the hub's cache."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from functions.separate.engine import hub

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a server that answers every request with 501."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)


def test_hubs_that_refuse_connections_are_not_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setattr(hub, "HUBS", ("", NOWHERE))
    assert not hub.is_reachable()


def test_a_hub_that_answers_at_all_is_reachable(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server)
    monkeypatch.setattr(hub, "HUBS", ("", NOWHERE))
    assert hub.is_reachable()


def test_the_second_hub_is_tried_too(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setattr(hub, "HUBS", ("", server))
    assert hub.is_reachable()
