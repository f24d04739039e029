"""A real store and a real bus, and what the function has of them, with its own rights."""

import os
from collections.abc import Iterator

import pytest
from minio import Minio

from functions.separate.engine.models import Models
from functions.separate.life import Tools
from microdemucs import room, store
from microdemucs.bus import Bus
from microdemucs.settings import BusSettings, StoreSettings
from tests.stack import as_user, stack

# Threads of torch that share a core with another test's wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of the separate function on a stack of this session's own."""
    with stack(tmp_path_factory.mktemp("stack")) as addresses:
        yield as_user(addresses, "separate") | {"MODEL": "htdemucs_tiny"}


@pytest.fixture(scope="session")
def root(settings: dict[str, str]) -> Minio:
    """The store, as the one who may do everything there."""
    return store.connect(StoreSettings(settings["STORE_URL"], "", "root", "root-secret"))


@pytest.fixture(scope="session")
def models(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The models as the function finds them; the bundled one is the default."""
    client = store.connect(StoreSettings(settings["STORE_URL"], "", "separate", "separate-secret"))
    return Models(
        client, "models", cache=tmp_path_factory.mktemp("models"), default="htdemucs_tiny"
    )


@pytest.fixture(scope="session")
def bus(settings: dict[str, str]) -> Iterator[Bus]:
    """The bus, with the function's own rights."""
    bus = Bus(BusSettings(settings["NATS_URL"], "separate", "separate-secret"), "tests")
    yield bus
    bus.close()


@pytest.fixture
def tools(models: Models, bus: Bus) -> Iterator[Tools]:
    """What the function has in its process. Nothing is stopping, then and afterwards."""
    yield Tools(
        models.store,
        bus,
        models,
        "stems",
        max_bytes=50_000_000,
        max_seconds=60,
        grace=5,
    )
    room.stopping.clear()
