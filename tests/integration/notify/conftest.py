"""A real store and a real bus, provisioned like every deployment, and receivers on loopback."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import flask
import functions_framework
import pytest
from flask.testing import FlaskClient
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.messages import Delivery
from microdemucs.paths import ROOT
from testing.stack import Stack, running_stack
from tests.integration.notify.events import CALLBACK_SECRET
from tests.integration.notify.webhook_receiver import Pending, StartReceiver, WebhookReceiver


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """NATS and MinIO, provisioned."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def settings(stack: Stack) -> dict[str, str]:
    """The function's environment, with a running store and bus."""
    return stack.connection("notify") | {
        "PUBLIC_URL": "https://separation.example",
        "CALLBACK_SECRET": CALLBACK_SECRET,
        "WEBHOOK_ALLOW_PRIVATE": "1",
    }


@pytest.fixture(scope="session")
def stems(stack: Stack) -> Bucket:
    """The output bucket, with the rights of the separate function."""
    return Bucket(store.connect(stack.store_settings("separate")), "stems")


@pytest.fixture(scope="session")
def session_registry(stack: Stack) -> Iterator[Bus]:
    bus = Bus(stack.bus_settings("upload"), "tests")
    yield bus
    bus.close()


@pytest.fixture
def registry(session_registry: Bus, pending: Pending) -> Iterator[Bus]:
    """The bus, with the rights of the upload function, which registers webhooks.

    All webhooks and deliveries are removed at the end.
    """
    yield session_registry
    for entry in session_registry.entries(WEBHOOKS):
        session_registry.remove(WEBHOOKS, entry.key)
    pending()


@pytest.fixture
def pending(stack: Stack) -> Pending:
    """Take every delivery that waits on the bus, as the bridge does."""

    async def take(client: Client) -> list[dict[str, Any]]:
        js = client.jetstream()
        taken: list[dict[str, Any]] = []
        while True:
            try:
                message = await js.get_msg("OUTBOX", 1, "deliveries.>", direct=True, next=True)
            except NotFoundError:
                return taken
            delivery = json.loads(message.data or b"")
            assert Delivery.from_data(delivery).subject == message.subject
            taken.append(delivery)
            await js.delete_msg("OUTBOX", message.seq or 0)

    return lambda: stack.on_bus("tests", take)


@pytest.fixture
def notify(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """The function in this process, with a schedule of two retries."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBHOOK_RETRY_SECONDS", "10,600")
    app: flask.Flask = functions_framework.create_app(
        "notify", str(ROOT / "functions" / "notify" / "main.py")
    )
    yield app.test_client()
    app.extensions["context"]().bus.close()


@pytest.fixture
def receiver() -> Iterator[StartReceiver]:
    """Start receivers; all are closed at the end."""
    started: list[WebhookReceiver] = []

    def start(*responses: tuple[int, dict[str, str]]) -> WebhookReceiver:
        started.append(WebhookReceiver(*responses))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def job(request: pytest.FixtureRequest) -> str:
    """A job id for each test: the bus accepts the same delivery only once."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:32]
