import threading
from concurrent.futures import Future
from typing import Any

import pytest

from functions.separate.output.serial_executor import SerialExecutor
from testing.waiting import wait_until


def test_calls_run_in_their_order_and_few_wait() -> None:
    go, done, submitted = threading.Event(), list[int](), list[int]()

    def work(number: int) -> None:
        go.wait(60)
        done.append(number)

    def submit_all() -> None:
        for number in range(10):
            executor.submit(work, number)
            submitted.append(number)

    with SerialExecutor() as executor:
        submitting = threading.Thread(target=submit_all)
        submitting.start()
        wait_until(lambda: len(submitted) == 2)
        submitting.join(0.2)
        assert submitted == [0, 1]
        go.set()
        submitting.join(60)
        executor.wait()
    assert done == list(range(10))


def fail() -> None:
    raise MemoryError


def test_an_error_is_raised_by_a_later_submit() -> None:
    with SerialExecutor() as executor:
        executor.submit(fail)
        executor.submit(fail)
        with pytest.raises(MemoryError):
            executor.submit(fail)


def test_an_error_is_raised_by_wait() -> None:
    with SerialExecutor() as executor:
        executor.submit(fail)
        with pytest.raises(MemoryError):
            executor.wait()


def test_leaving_the_context_drops_calls_that_have_not_begun() -> None:
    begun, go, done = threading.Event(), threading.Event(), list[int]()

    def work(number: int) -> None:
        begun.set()
        go.wait(90)
        done.append(number)

    def go_on_without(call: Future[Any]) -> None:
        wait_until(call.cancelled)
        go.set()

    with SerialExecutor() as executor:
        executor.submit(work, 1)
        executor.submit(work, 2)
        begun.wait(10)
        dropping = threading.Thread(target=go_on_without, args=(executor._pending[1],))
        dropping.start()
    dropping.join()
    assert done == [1]
