"""A hub with htdemucs_ft, with noise in the place of weights."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.hub_server import Hub, hub_server
from tests.integration.separate.engine.fetching import NETWORKS

SIZE = 2_000_000


@pytest.fixture
def files() -> dict[str, bytes]:
    """The files of htdemucs_ft's repository."""
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
