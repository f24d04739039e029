"""A real stack, the web app in this process, and the function as a process of its own."""

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from functions.upload.app import web
from testing.stack import Stack, running_stack
from tests.integration.upload.separated import Separation


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """NATS and MinIO, provisioned."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def separation(stack: Stack) -> Iterator[Separation]:
    """Who writes jobs and stems."""
    one = Separation.at(stack)
    yield one
    one.bus.close()


@pytest.fixture(scope="session")
def serve(stack: Stack) -> Iterator[Callable[..., FlaskClient]]:
    """Make a client of the web app with other settings than the usual ones."""
    apps = []

    def make(**settings: str) -> FlaskClient:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in _settings(stack, settings).items():
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
def process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the function as it is served; a song may have 300 kB there."""
    output = tmp_path_factory.mktemp("function") / "output"
    with stack.serve("upload", output, MAX_SONG_BYTES="300000", EVENT_STREAMS="2") as url:
        yield url


def _settings(stack: Stack, more: dict[str, str]) -> dict[str, str]:
    return stack.connection("upload") | {"HOST": "127.0.0.1"} | more
