from collections.abc import Iterator
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pytest

from functions.separate.output.spool import Spool

SAMPLES: npt.NDArray[np.float32] = (
    np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
)


@pytest.fixture
def spool() -> Iterator[Spool]:
    with closing(Spool()) as spool:
        for start in range(0, 1000, 300):
            spool.append(SAMPLES[:, start : start + 300])
        yield spool


@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (0, 1), (299, 301), (7, 7)])
def test_any_range_is_read_as_it_was_appended(spool: Spool, start: int, stop: int) -> None:
    assert np.array_equal(spool.read(start, stop), SAMPLES[:, start:stop])


def test_the_length_is_in_samples(spool: Spool) -> None:
    assert spool.length == 1000


def test_the_peak_is_the_largest_magnitude(spool: Spool) -> None:
    assert spool.peak == np.abs(SAMPLES).max()


def test_an_empty_block_changes_nothing(spool: Spool) -> None:
    spool.append(SAMPLES[:, :0])
    assert spool.length == 1000
