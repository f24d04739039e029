"""A stack for each test, as each test breaks its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.stack import COMPONENTS, Stack, running_stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """All components but the sweep."""
    with running_stack(
        tmp_path / "stack", *COMPONENTS, WEBHOOK_RETRY_SECONDS="1,1,1,1,2,2,5,5"
    ) as stack:
        yield stack
