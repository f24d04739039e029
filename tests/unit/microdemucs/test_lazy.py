import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from microdemucs.lazy import Lazy


def test_a_value_is_made_once_however_many_ask() -> None:
    made: list[int] = []
    barrier = threading.Barrier(8)

    def make() -> int:
        made.append(1)
        return len(made)

    value = Lazy(make)

    def ask() -> int:
        barrier.wait()
        return value()

    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(ask) for _ in range(8)]]
    assert answers == [1] * 8


def test_nothing_is_made_before_it_is_needed() -> None:
    made: list[int] = []
    Lazy(lambda: made.append(1))
    assert made == []


def test_an_error_is_not_kept() -> None:
    attempts: list[int] = []

    def make() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise LookupError("not yet")
        return "made"

    value = Lazy(make)
    with pytest.raises(LookupError):
        value()
    assert value() == "made"
