"""One stack for all tests of this folder, per test process."""

from collections.abc import Iterator

import pytest

from testing.stack import COMPONENTS, Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All components but the sweep."""
    with running_stack(tmp_path_factory.mktemp("stack"), *COMPONENTS) as stack:
        yield stack
