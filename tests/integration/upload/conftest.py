"""A real stack, the web app in this process, and the function as a process of its own."""

from collections.abc import Callable, Iterator

import pytest

from functions.upload.app import create_app
from testing.stack import Stack
from testing.upload_fixtures import job_writer, stack
from testing.web_client import WebClient

__all__ = ["job_writer", "stack"]  # pytest finds them here


@pytest.fixture(scope="session")
def serve(stack: Stack) -> Iterator[Callable[..., WebClient]]:
    """Return a function that makes a client of the web app with other settings."""
    apps = []

    def make_client(**settings: str) -> WebClient:
        settings_on_loopback = stack.connection("upload") | {"HOST": "127.0.0.1"} | settings
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings_on_loopback.items():
                patch.setenv(name, value)
            app = create_app()
            context = app.extensions["context"]()  # reads the settings
        if "NATS_URL" not in settings:
            assert context.jobs.loaded.wait(60)
        apps.append(app)
        return app.test_client()

    yield make_client
    for app in apps:
        app.extensions["context"]().bus.close()


@pytest.fixture(scope="session")
def client(serve: Callable[..., WebClient]) -> WebClient:
    """A client of the web app with the usual settings: on loopback, without tokens."""
    return serve()


@pytest.fixture(scope="session")
def process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the function as a process; it accepts songs of up to 300 kB."""
    output = tmp_path_factory.mktemp("function") / "output"
    with stack.serve("upload", output, MAX_SONG_BYTES="300000", EVENT_STREAMS="2") as url:
        yield url
