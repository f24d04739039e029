"""A real store and a real bus."""

from collections.abc import Iterator

import pytest

from testing.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """NATS and MinIO, provisioned."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def separate_user(stack: Stack) -> dict[str, str]:
    """The settings with which the separate function reaches them."""
    return stack.connection("separate")
