"""demucs' own models by name, and the hub's cache. Neither torch nor a network is used."""

import sys
from pathlib import Path

import pytest

from functions.separate.engine import hub


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of huggingface_hub, with the list of htdemucs; return the snapshot's folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--adefossez--HTDemucs"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123")
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "htdemucs.yaml").write_text("models: ['955717e8']")
    return snapshot


def test_the_names_are_demucs_models_and_their_signatures() -> None:
    assert {"htdemucs", "htdemucs_ft", "htdemucs_6s", "955717e8"} <= hub.names()


def test_without_demucs_there_are_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    assert hub.names() == set()


def test_looking_up_names_does_not_import_demucs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "demucs", raising=False)
    hub.names()
    assert "demucs" not in sys.modules


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("htdemucs", "adefossez/HTDemucs"),
        ("htdemucs_ft", "adefossez/HTDemucs-ft"),
        ("htdemucs_6s", "adefossez/HTDemucs-6s"),
        ("hdemucs_mmi", "adefossez/Demucs-hdemucs_mmi"),
    ],
)
def test_a_name_has_a_repository(name: str, expected: str) -> None:
    assert hub.repository(name) == expected


def test_a_model_in_the_hubs_cache_is_found(hub_cache: Path) -> None:
    (hub_cache / "955717e8.safetensors").touch()
    assert hub.cached("htdemucs") == hub_cache


def test_a_list_without_its_weights_is_not_found(hub_cache: Path) -> None:
    assert hub.cached("htdemucs") is None


def test_a_model_that_is_not_in_the_hubs_cache_is_not_found(hub_cache: Path) -> None:
    assert hub.cached("htdemucs_ft") is None


def test_a_name_that_demucs_does_not_know_is_not_looked_up(hub_cache: Path) -> None:
    assert hub.cached("../htdemucs") is None
