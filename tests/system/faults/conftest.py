"""Machines whose plugs are pulled: each test has one of its own."""

from collections.abc import Iterator

import pytest

from testing.machine import WHOLE, Machine, machine


@pytest.fixture
def whole(tmp_path) -> Iterator[Machine]:
    """A machine with every part of the Procfile up but the sweep."""
    with machine(tmp_path / "machine", *WHOLE, WEBHOOK_RETRY_SECONDS="1,1,1,1,2,2,5,5") as one:
        yield one
