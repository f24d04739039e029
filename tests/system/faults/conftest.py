"""Machines whose plugs are pulled: each test has one of its own."""

from collections.abc import Iterator

import pytest

from testing.stack import COMPONENTS, Stack, running_stack


@pytest.fixture
def stack(tmp_path) -> Iterator[Stack]:
    """A machine with every part of the Procfile up but the sweep."""
    with running_stack(
        tmp_path / "stack", *COMPONENTS, WEBHOOK_RETRY_SECONDS="1,1,1,1,2,2,5,5"
    ) as stack:
        yield stack
