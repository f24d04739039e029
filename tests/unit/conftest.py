"""Hold every unit test to its level: no torch, browser, child process or connection."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

_MODULES = {"torch", "demucs", "playwright"}
_ACTIONS = {"subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect"}
_in_test = False


class NotAUnitTest(AssertionError):
    """A unit test does what only integration and system tests may do."""


@sys.addaudithook
def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _in_test:
        return
    if event in _ACTIONS or (event == "import" and arguments[0].partition(".")[0] in _MODULES):
        raise NotAUnitTest(f"a unit test must not use {event} {arguments[:2]}")


@pytest.fixture(autouse=True)
def _at_unit_level() -> Iterator[None]:
    global _in_test
    _in_test = True
    yield
    _in_test = False


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if the unit tests, collected alone, have imported what they must not need."""
    is_alone = all(
        "unit" in item.path.relative_to(session.config.rootpath).parts for item in session.items
    )
    if is_alone and (loaded := _MODULES & set(sys.modules)):
        raise pytest.UsageError(f"unit tests must not import {', '.join(sorted(loaded))}")
