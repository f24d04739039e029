"""One whole machine for all tests of this folder (one per worker)."""

from collections.abc import Iterator

import pytest

from testing.stack import COMPONENTS, Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A machine with every part of the Procfile up but the sweep."""
    with running_stack(tmp_path_factory.mktemp("stack"), *COMPONENTS) as stack:
        yield stack
