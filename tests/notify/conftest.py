"""A real store and a real bus, provisioned as everywhere, and receivers on loopback."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import flask
import functions_framework
import nats
import pytest
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent
from flask.testing import FlaskClient
from minio import Minio
from nats.errors import TimeoutError as NothingThere

from functions.notify import parts
from microdemucs import store
from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.settings import BusSettings, StoreSettings

ROOT = Path(__file__).parents[2]
MINIO = Path(
    os.environ.get("MINIO", "")
    or shutil.which("minio")
    or Path.home() / ".cache" / "micro-demucs" / "bin" / "minio"
)
SECRET = "whsec_" + "c2VjcmV0LW9mLWEtd2ViaG9vay0yNC1ieXRlcw=="
CALLBACK_SECRET = "whsec_" + "c2VjcmV0LW9mLWFsbC1jYWxsYmFja3Mtb2YtdGhpcw=="


def until(told: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `told` is true."""
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.02)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """NATS and MinIO, as processes, provisioned; yields the settings of the notify function."""
    folder = tmp_path_factory.mktemp("stack")
    bus_port, store_port = free_port(), free_port()
    users = ("provision", "minio", "events", "separate", "upload", "notify", "logs")
    passwords = {f"NATS_{user.upper()}_PASSWORD": f"{user}-password" for user in users}
    secrets = {
        f"STORE_{part}_SECRET": f"{part.lower()}-secret"
        for part in ("EVENTS", "SEPARATE", "UPLOAD", "NOTIFY")
    }
    bus_address = {"NATS_HOST": "127.0.0.1", "NATS_PORT": str(bus_port)}
    root = {"MINIO_ROOT_USER": "root", "MINIO_ROOT_PASSWORD": "root-secret"}
    commands = [
        (
            [str(Path(sys.executable).parent / "nats-server"), "-c", "minio-events/nats.conf"],
            bus_address | passwords | {"NATS_STORE": str(folder / "nats")},
        ),
        (
            [str(MINIO), "server", str(folder / "store"), "--address", f"127.0.0.1:{store_port}"],
            root | {"MINIO_BROWSER": "off"},
        ),
    ]
    running = []
    with (folder / "output").open("wb") as output:
        try:
            for command, env in commands:
                running.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=os.environ | env, stdout=output, stderr=output
                    )
                )
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
            subprocess.run(
                [sys.executable, "-m", "minio_events", "provision"],
                cwd=ROOT,
                env=os.environ | addresses | passwords | secrets | as_root,
                check=True,
                timeout=60,
            )
            yield addresses | {
                "NATS_USER": "notify",
                "NATS_PASSWORD": "notify-password",
                "STORE_ACCESS_KEY": "notify",
                "STORE_SECRET_KEY": "notify-secret",
                "PUBLIC_URL": "https://separation.example",
                "CALLBACK_SECRET": CALLBACK_SECRET,
                "WEBHOOK_ALLOW_PRIVATE": "1",
            }
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(20)


@pytest.fixture(scope="session")
def stems(stack: dict[str, str]) -> Minio:
    """The store, as the one who writes stems."""
    return store.connect(
        StoreSettings(url=stack["STORE_URL"], access_key="separate", secret_key="separate-secret")
    )


@pytest.fixture(scope="session")
def _registry(stack: dict[str, str]) -> Iterator[Bus]:
    bus = Bus(BusSettings(stack["NATS_URL"], "upload", "upload-password"), "tests")
    yield bus
    bus.close()


@pytest.fixture
def registry(_registry: Bus, pending: Callable[[], list[dict]]) -> Iterator[Bus]:
    """The bus, as the one who registers webhooks; at the end no webhook and delivery is left."""
    yield _registry
    for entry in _registry.entries(WEBHOOKS):
        _registry.delete(WEBHOOKS, entry.key)
    pending()


@pytest.fixture
def pending(stack: dict[str, str]) -> Callable[[], list[dict]]:
    """Take every delivery that waits on the bus, as the bridge does."""

    async def take() -> list[dict]:
        client = await nats.connect(
            stack["NATS_URL"],
            user="events",
            password="events-password",
            inbox_prefix=b"_INBOX_events",
        )
        consumer = await client.jetstream().pull_subscribe_bind("deliveries", "DELIVERIES")
        taken = []
        try:
            while True:
                for message in await consumer.fetch(100, timeout=0.2):
                    taken.append(json.loads(message.data))
                    await message.ack_sync()
        except NothingThere:
            return taken
        finally:
            await client.close()

    return lambda: asyncio.run(take())


@pytest.fixture
def notify(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """The function in this process, with a schedule of two retries."""
    for name, value in stack.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBHOOK_RETRY_SECONDS", "10,600")
    parts._made.cache_clear()
    app: flask.Flask = functions_framework.create_app(
        "notify", str(ROOT / "functions" / "notify" / "main.py")
    )
    yield app.test_client()
    parts.parts().bus.close()
    parts._made.cache_clear()


def send(client: FlaskClient, event: CloudEvent) -> flask.Response:
    """POST `event` in binary mode, as the bridge does."""
    headers, body = to_binary(event)
    return client.post("/", headers=headers, data=body)


class Receiver:
    """A webhook's receiver: keeps what it got, and answers what it is told, 200 at the end."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        left = list(answers)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                status, headers = left.pop(0) if left else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Tests do not want lines on stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?key=in-the-query"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Listen no more."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Make receivers; all are closed at the end."""
    made: list[Receiver] = []

    def make(*answers: tuple[int, dict[str, str]]) -> Receiver:
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()
