"""One whole machine for all tests of this folder (one per worker)."""

from collections.abc import Iterator

import pytest

from testing.machine import WHOLE, Machine, machine


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with every part of the Procfile up but the sweep."""
    with machine(tmp_path_factory.mktemp("machine"), *WHOLE) as one:
        yield one
