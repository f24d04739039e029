"""The space that all songs share while they arrive."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.upload.upload_space import UploadSpace
from microdemucs.problems import RetryLater


def test_what_is_taken_and_given_back_can_be_taken_again() -> None:
    space = UploadSpace(10)
    space.take(10)
    space.give_back(4)
    space.take(4)
    with pytest.raises(RetryLater):
        space.take(1)


def test_what_does_not_fit_takes_nothing() -> None:
    space = UploadSpace(10)
    with pytest.raises(RetryLater):
        space.take(11)
    space.take(10)


def test_asking_takes_nothing() -> None:
    space = UploadSpace(10)
    space.ensure_free(10)
    space.take(10)


def test_the_problem_says_how_much_there_is_and_when_to_try_again() -> None:
    with pytest.raises(RetryLater) as raised:
        UploadSpace(10).ensure_free(11)
    assert (raised.value.kind, raised.value.status, raised.value.after) == ("no-room", 503, 30)
    assert "10 bytes" in raised.value.detail


def test_many_threads_take_no_more_than_there_is() -> None:
    space = UploadSpace(1000)

    def take(_: int) -> bool:
        try:
            space.take(1)
        except RetryLater:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(3000))) == 1000
