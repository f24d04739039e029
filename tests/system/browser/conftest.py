"""The page of a real function, with a real store and bus."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from testing.stack import Stack
from testing.upload_fixtures import job_writer, stack
from tests.system.browser.songs import tone

__all__ = ["job_writer", "stack"]  # pytest finds them here

expect.set_options(timeout=20_000)  # a busy machine


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


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A song whose name no other test has."""
    path = tmp_path / f"Größer als du {uuid.uuid4().hex[:4]}.wav"
    path.write_bytes(tone(440))
    return path
