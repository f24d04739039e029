"""The web form of a real function, with a real store and bus."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

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
def serve(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Serve the function with some settings; its address."""
    with ExitStack() as running:

        def start(**settings: str) -> str:
            output = tmp_path_factory.mktemp("function") / "output"
            return running.enter_context(stack.serve("upload", output, **settings))

        yield start


@pytest.fixture(scope="session")
def site(serve: Callable[..., str]) -> str:
    """The address of the form, with the usual settings."""
    return serve(THREADS="16")
