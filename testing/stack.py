"""A real bus and a real store of a test's own, provisioned as everywhere."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from local import binaries
from local.ports import free_port
from microdemucs.paths import ROOT

MINIO = binaries.MINIO.binary


def wait_until(told: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `told` is true."""
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.02)


@contextmanager
def started(*commands: tuple[list[str], dict[str, str]], output: Path) -> Iterator[None]:
    """Run `commands`, each with variables of its own; end them all afterwards."""
    running: list[subprocess.Popen] = []
    with output.open("ab") as written:
        try:
            for command, env in commands:
                running.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=os.environ | env, stdout=written, stderr=written
                    )
                )
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(20)


@contextmanager
def stack(folder: Path) -> Iterator[dict[str, str]]:
    """NATS and MinIO in `folder`; yields STORE_URL and NATS_URL.

    The users are events, separate, upload and notify, and each one's secret is `<user>-secret`
    at both.
    """
    bus_port, store_port = free_port(), free_port()
    users = ("provision", "minio", "events", "separate", "upload", "notify", "logs")
    passwords = {f"NATS_{user.upper()}_PASSWORD": f"{user}-secret" for user in users}
    secrets = {f"STORE_{user.upper()}_SECRET": f"{user}-secret" for user in users}
    bus = (
        [str(Path(sys.executable).parent / "nats-server"), "-c", "minio-events/nats.conf"],
        {"NATS_HOST": "127.0.0.1", "NATS_PORT": str(bus_port), "NATS_STORE": str(folder / "nats")}
        | passwords,
    )
    store = (
        [str(MINIO), "server", str(folder / "store"), "--address", f"127.0.0.1:{store_port}"],
        {"MINIO_ROOT_USER": "root", "MINIO_ROOT_PASSWORD": "root-secret", "MINIO_BROWSER": "off"},
    )
    addresses = {
        "NATS_URL": f"nats://127.0.0.1:{bus_port}",
        "STORE_URL": f"http://127.0.0.1:{store_port}",
    }
    as_root = {
        "NATS_USER": "provision",
        "NATS_PASSWORD": "provision-secret",
        "STORE_ACCESS_KEY": "root",
        "STORE_SECRET_KEY": "root-secret",
        "STORE_QUEUE_DIR": str(folder / "queue"),
    }
    with started(bus, store, output=folder / "output"):
        subprocess.run(
            [sys.executable, "-m", "minio_events", "provision"],
            cwd=ROOT,
            env=os.environ | addresses | passwords | secrets | as_root,
            check=True,
            timeout=60,
        )
        yield addresses


@contextmanager
def served(name: str, env: dict[str, str], output: Path) -> Iterator[str]:
    """The function `name` as a process with the settings `env`; yields its address when ready."""
    port = free_port()
    command = [sys.executable, "-m", "microdemucs.service", name]
    with started((command, env | {"HOST": "127.0.0.1", "PORT": str(port)}), output=output):
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(address))
        yield address


def _is_ready(address: str) -> bool:
    try:
        return urllib3.request("GET", f"{address}/readyz", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def as_user(addresses: dict[str, str], user: str) -> dict[str, str]:
    """The settings with which the part `user` reaches the stack."""
    return addresses | {
        "NATS_USER": user,
        "NATS_PASSWORD": f"{user}-secret",
        "STORE_ACCESS_KEY": user,
        "STORE_SECRET_KEY": f"{user}-secret",
    }
