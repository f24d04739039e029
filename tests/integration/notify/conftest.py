"""A real store and a real bus, provisioned as everywhere, and receivers on loopback."""

import asyncio
import json
from collections.abc import Callable, Iterator

import flask
import functions_framework
import nats
import pytest
from flask.testing import FlaskClient
from minio import Minio

from microdemucs import store
from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.settings import BusSettings, StoreSettings
from testing.stack import ROOT, as_user, stack
from tests.integration.notify.events import CALLBACK_SECRET
from tests.integration.notify.receiving import Receiver


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of the function, with a store and a bus that run."""
    with stack(tmp_path_factory.mktemp("stack")) as addresses:
        yield as_user(addresses, "notify") | {
            "PUBLIC_URL": "https://separation.example",
            "CALLBACK_SECRET": CALLBACK_SECRET,
            "WEBHOOK_ALLOW_PRIVATE": "1",
        }


@pytest.fixture(scope="session")
def stems(settings: dict[str, str]) -> Minio:
    """The store, as the one who writes stems."""
    return store.connect(
        StoreSettings(
            url=settings["STORE_URL"], access_key="separate", secret_key="separate-secret"
        )
    )


@pytest.fixture(scope="session")
def _registry(settings: dict[str, str]) -> Iterator[Bus]:
    bus = Bus(BusSettings(settings["NATS_URL"], "upload", "upload-secret"), "tests")
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
def pending(settings: dict[str, str]) -> Callable[[], list[dict]]:
    """Take every delivery that waits on the bus, as the bridge does."""

    async def take() -> list[dict]:
        client = await nats.connect(
            settings["NATS_URL"],
            user="events",
            password="events-secret",
            inbox_prefix=b"_INBOX_events",
        )
        js = client.jetstream()
        consumer = await js.pull_subscribe_bind("deliveries", "DELIVERIES")
        taken = []
        try:
            while waiting := (await js.consumer_info("DELIVERIES", "deliveries")).num_pending:
                for message in await consumer.fetch(waiting):
                    taken.append(json.loads(message.data))
                    await message.ack_sync()
            return taken
        finally:
            await client.close()

    return lambda: asyncio.run(take())


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
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Make receivers; all are closed at the end."""
    made: list[Receiver] = []

    def make(*answers: tuple[int, dict[str, str]]) -> Receiver:
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()
