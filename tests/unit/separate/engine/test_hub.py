"""The released models by name, and the hub's cache. No network is used."""

from pathlib import Path

import pytest

from functions.separate.engine import hub
from functions.separate.engine.released_models import MODELS

HTDEMUCS_FT = MODELS["htdemucs_ft"].networks


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of huggingface_hub, with the list of htdemucs; return the snapshot's folder."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return write_snapshot(tmp_path / "hub", "models--adefossez--HTDemucs", "htdemucs")


def write_snapshot(cache: Path, repository: str, name: str) -> Path:
    """Write the list of a model as a repository's newest commit."""
    folder = cache / repository
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123")
    snapshot = folder / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    networks = ", ".join(f"'{network}'" for network in MODELS[name].networks)
    (snapshot / f"{name}.yaml").write_text(f"models: [{networks}]\n")
    return snapshot


def test_the_names_are_demucs_models_and_their_signatures() -> None:
    assert {"htdemucs", "htdemucs_ft", "htdemucs_6s", "955717e8"} <= hub.names()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("htdemucs", "adefossez/HTDemucs"),
        ("htdemucs_ft", "adefossez/HTDemucs-ft"),
        ("htdemucs_6s", "adefossez/HTDemucs-6s"),
        ("hdemucs_mmi", "adefossez/Demucs-hdemucs_mmi"),
        ("955717e8", "adefossez/HTDemucs"),
        ("d12395a8", "adefossez/HTDemucs-ft"),
    ],
)
def test_a_name_has_a_repository(name: str, expected: str) -> None:
    assert hub.repository(name) == expected


def test_another_account_has_the_same_repositories() -> None:
    assert hub.repository("htdemucs_ft", "studio") == "studio/HTDemucs-ft"


def test_a_model_in_the_hubs_cache_is_found(hub_cache: Path) -> None:
    (hub_cache / "955717e8.safetensors").touch()
    assert hub.cached("htdemucs") == hub_cache


def test_a_network_in_the_hubs_cache_is_found_by_its_signature(hub_cache: Path) -> None:
    (hub_cache / "955717e8.safetensors").touch()
    assert hub.cached("955717e8") == hub_cache / "955717e8.safetensors"


def test_a_list_without_its_weights_is_not_found(hub_cache: Path) -> None:
    assert hub.cached("htdemucs") is None


def test_an_ensemble_of_which_a_network_is_missing_is_not_found(hub_cache: Path) -> None:
    cache = hub_cache.parents[2]
    snapshot = write_snapshot(cache, "models--adefossez--HTDemucs-ft", "htdemucs_ft")
    for network in HTDEMUCS_FT[:-1]:
        (snapshot / f"{network}.safetensors").touch()
    assert hub.cached("htdemucs_ft") is None
    (snapshot / f"{HTDEMUCS_FT[-1]}.safetensors").touch()
    assert hub.cached("htdemucs_ft") == snapshot


def test_a_model_that_is_not_in_the_hubs_cache_is_not_found(hub_cache: Path) -> None:
    assert hub.cached("htdemucs_ft") is None


def test_another_accounts_model_is_not_found(hub_cache: Path) -> None:
    (hub_cache / "955717e8.safetensors").touch()
    assert hub.cached("htdemucs", "studio") is None


def test_a_name_that_demucs_does_not_know_is_not_looked_up(hub_cache: Path) -> None:
    assert hub.cached("../htdemucs") is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"HF_HOME": "$HOME/b"}, "/home/me/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, "/home/me/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me"} | variables).items():
        monkeypatch.setenv(name, value)
    assert hub.cache_folder() == Path(expected)
