"""The web form of a real function, with a real store and bus."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

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
def serve(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Serve the function with some settings; its address."""
    with ExitStack() as running:

        def start(**settings: str) -> str:
            env = as_user(addresses, "upload") | settings
            output = tmp_path_factory.mktemp("function") / "output"
            return running.enter_context(served("upload", env, output))

        yield start


@pytest.fixture(scope="session")
def site(serve: Callable[..., str]) -> str:
    """The address of the form, with the usual settings."""
    return serve(THREADS="16")
