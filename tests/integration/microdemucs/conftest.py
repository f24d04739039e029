"""A real store and a real bus."""

from collections.abc import Iterator

import pytest

from testing.stack import as_user, stack


@pytest.fixture(scope="session")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """STORE_URL and NATS_URL of a provisioned store and bus."""
    with stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def separate_user(addresses: dict[str, str]) -> dict[str, str]:
    """The settings with which the separate function reaches them."""
    return as_user(addresses, "separate")
