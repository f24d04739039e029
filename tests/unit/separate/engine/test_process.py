"""Settings of the whole process."""

import locale
import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from functions.separate.engine import process


@pytest.fixture
def utf8_locale() -> Iterator[str]:
    """A locale other than "C"."""
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    yield "C.UTF-8"
    locale.setlocale(locale.LC_ALL, before)


def set_c_and_fail() -> None:
    locale.setlocale(locale.LC_ALL, "C")
    raise RuntimeError("cannot be read")


@pytest.mark.parametrize(
    ("choose", "variable", "default"),
    [
        (process.use_one_openblas_thread, "OPENBLAS_NUM_THREADS", "1"),
        (process.use_small_pages, "NUMPY_MADVISE_HUGEPAGE", "0"),
    ],
)
def test_numpy_is_set_up_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, choose: Callable[[], None], variable: str, default: str
) -> None:
    monkeypatch.setenv(variable, "3")
    choose()
    assert os.environ[variable] == "3"
    monkeypatch.delenv(variable)
    choose()
    assert os.environ[variable] == default


@pytest.mark.parametrize(
    ("skip", "package"),
    [
        (process.disable_openvino_telemetry, "openvino_telemetry"),
        (process.skip_openvino_converter, "openvino.tools.ovc"),
    ],
)
def test_a_skipped_package_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, skip: Callable[[], None], package: str
) -> None:
    monkeypatch.delitem(sys.modules, package, raising=False)
    skip()
    try:
        assert sys.modules[package] is None
    finally:
        del sys.modules[package]


def test_the_locale_is_restored(utf8_locale: str) -> None:
    with process.preserve_locale():
        locale.setlocale(locale.LC_ALL, "C")
    assert locale.setlocale(locale.LC_ALL) == utf8_locale


def test_the_locale_is_restored_after_an_error(utf8_locale: str) -> None:
    with pytest.raises(RuntimeError, match="cannot be read"), process.preserve_locale():
        set_c_and_fail()
    assert locale.setlocale(locale.LC_ALL) == utf8_locale


def test_a_second_thread_waits_for_the_locale(utf8_locale: str) -> None:
    found: list[str] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with process.preserve_locale():
            found.append(locale.setlocale(locale.LC_ALL))

    with process.preserve_locale():
        locale.setlocale(locale.LC_ALL, "C")
        thread = threading.Thread(target=second)
        thread.start()
        assert begun.wait(20)
        thread.join(0.05)
        assert not found
    thread.join()
    assert found == [utf8_locale]
