"""Hold every unit test to its level: no torch, browser, child process or connection."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NoReturn

import pytest

_MODULES = {"torch", "demucs", "playwright"}
_ACTIONS = (
    (subprocess.Popen, "_execute_child"),
    (os, "fork"),
    (os, "posix_spawn"),
    (socket.socket, "connect"),
)


class NotAUnitTest(AssertionError):
    """A unit test does what only integration and system tests may do."""


class _RefusedModules(MetaPathFinder, Loader):
    """Finds what unit tests must not need, and refuses to import it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in _MODULES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> NoReturn:
        raise NotAUnitTest(f"a unit test must not import {module.__name__}")


_refused_modules = _RefusedModules()


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*arguments: Any, **_: Any) -> NoReturn:
        raise NotAUnitTest(f"a unit test must not use {name} {arguments[:2]}")

    return refuse


# An audit hook would be shorter. But before Python 3.12, a thread that starts under coverage while
# another thread is in such a hook may die, and the test that waits for it hangs.
@pytest.fixture(autouse=True)
def _at_unit_level(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in _ACTIONS:
        monkeypatch.setattr(owner, name, _refuse(f"{owner.__name__}.{name}"))
    monkeypatch.setattr(sys, "meta_path", [_refused_modules, *sys.meta_path])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if the unit tests, collected alone, have imported what they must not need."""
    is_alone = all(
        "unit" in item.path.relative_to(session.config.rootpath).parts for item in session.items
    )
    if is_alone and (loaded := _MODULES & set(sys.modules)):
        raise pytest.UsageError(f"unit tests must not import {', '.join(sorted(loaded))}")
