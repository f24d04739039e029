"""A real stack, the web app in this process, and the function as a process of its own."""

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from functions.upload.app import web
from testing.stack import as_user, served, stack
from tests.integration.upload.separated import Separation


@pytest.fixture(scope="session")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """STORE_URL and NATS_URL of a store and a bus that run."""
    with stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def separation(addresses: dict[str, str]) -> Iterator[Separation]:
    """Who writes jobs and stems."""
    one = Separation.at(addresses)
    yield one
    one.bus.close()


@pytest.fixture(scope="session")
def serve(addresses: dict[str, str]) -> Iterator[Callable[..., FlaskClient]]:
    """Make a client of the web app with other settings than the usual ones."""
    apps = []

    def make(**settings: str) -> FlaskClient:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in _settings(addresses, settings).items():
                patch.setenv(name, value)
            app = web()
            app.extensions["context"]()  # reads the settings
        apps.append(app)
        return app.test_client()

    yield make
    for app in apps:
        app.extensions["context"]().bus.close()


@pytest.fixture(scope="session")
def client(serve: Callable[..., FlaskClient]) -> FlaskClient:
    """A client of the web app with the usual settings: on loopback, without tokens."""
    return serve()


@pytest.fixture(scope="session")
def process(addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the function as it is served; a song may have 300 kB there."""
    env = _settings(addresses, {"MAX_SONG_BYTES": "300000", "EVENT_STREAMS": "2"})
    with served("upload", env, tmp_path_factory.mktemp("function") / "output") as address:
        yield address


def _settings(addresses: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    return as_user(addresses, "upload") | {"HOST": "127.0.0.1"} | more
