"""A real store and a real bus, provisioned as everywhere, and the function with its real rights."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio

from functions.separate.engine.models import Models
from functions.separate.life import Tools
from microdemucs import room, store
from microdemucs.bus import Bus
from microdemucs.settings import BusSettings, StoreSettings

ROOT = Path(__file__).parents[2]
MINIO = Path(
    os.environ.get("MINIO", "")
    or shutil.which("minio")
    or Path.home() / ".cache" / "micro-demucs" / "bin" / "minio"
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    return _free_port()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """NATS and MinIO, as processes, provisioned; yields the settings of the separate function."""
    folder = tmp_path_factory.mktemp("separate-stack")
    bus_port, store_port = _free_port(), _free_port()
    users = ("provision", "minio", "events", "separate", "upload", "notify", "logs")
    passwords = {f"NATS_{user.upper()}_PASSWORD": f"{user}-password" for user in users}
    secrets = {
        f"STORE_{part}_SECRET": f"{part.lower()}-secret"
        for part in ("EVENTS", "SEPARATE", "UPLOAD", "NOTIFY")
    }
    bus_settings = {"NATS_HOST": "127.0.0.1", "NATS_PORT": str(bus_port)}
    bus_settings |= passwords | {"NATS_STORE": str(folder / "nats")}
    root = {"MINIO_ROOT_USER": "root", "MINIO_ROOT_PASSWORD": "root-secret"}
    nats_server = [str(Path(sys.executable).parent / "nats-server"), "-c", "minio-events/nats.conf"]
    minio = [str(MINIO), "server", str(folder / "store"), "--address", f"127.0.0.1:{store_port}"]
    addresses = {
        "NATS_URL": f"nats://127.0.0.1:{bus_port}",
        "STORE_URL": f"http://127.0.0.1:{store_port}",
    }
    as_root = {
        "NATS_USER": "provision",
        "NATS_PASSWORD": "provision-password",
        "STORE_ACCESS_KEY": "root",
        "STORE_SECRET_KEY": "root-secret",
        "STORE_QUEUE_DIR": str(folder / "queue"),
    }
    running = []
    with (folder / "output").open("wb") as output:
        try:
            for command, env in ((nats_server, bus_settings), (minio, root)):
                process = subprocess.Popen(
                    command, cwd=ROOT, env=os.environ | env, stdout=output, stderr=output
                )
                running.append(process)
            subprocess.run(
                [sys.executable, "-m", "minio_events", "provision"],
                cwd=ROOT,
                env=os.environ | addresses | passwords | secrets | as_root,
                check=True,
                timeout=60,
            )
            yield addresses | {
                "NATS_USER": "separate",
                "NATS_PASSWORD": "separate-password",
                "STORE_ACCESS_KEY": "separate",
                "STORE_SECRET_KEY": "separate-secret",
                "MODEL": "htdemucs_tiny",
            }
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(20)


@pytest.fixture(scope="session")
def root(stack: dict[str, str]) -> Minio:
    """The store, as the one who may do everything there."""
    return store.connect(StoreSettings(stack["STORE_URL"], "", "root", "root-secret"))


@pytest.fixture(scope="session")
def models(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The models as the function finds them; the bundled one is the default."""
    client = store.connect(StoreSettings(stack["STORE_URL"], "", "separate", "separate-secret"))
    return Models(
        client, "models", cache=tmp_path_factory.mktemp("models"), default="htdemucs_tiny"
    )


@pytest.fixture(scope="session")
def bus(stack: dict[str, str]) -> Iterator[Bus]:
    """The bus, with the function's own rights."""
    bus = Bus(BusSettings(stack["NATS_URL"], "separate", "separate-password"), "tests")
    yield bus
    bus.close()


@pytest.fixture
def tools(stack: dict[str, str], models: Models, bus: Bus) -> Iterator[Tools]:
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
