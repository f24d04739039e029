"""The web form of a real function, with a real store and bus."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from testing.stack import Stack
from testing.upload_fixtures import job_writer, stack

__all__ = ["job_writer", "stack"]  # pytest finds them here


@pytest.fixture(scope="session")
def serve(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Return a function that serves the upload function with some settings, at an address."""
    with ExitStack() as running:

        def start(**settings: str) -> str:
            output = tmp_path_factory.mktemp("function") / "output"
            return running.enter_context(stack.serve("upload", output, **settings))

        yield start


@pytest.fixture(scope="session")
def site(serve: Callable[..., str]) -> str:
    """The address of the page, with the usual settings."""
    return serve(THREADS="16")
