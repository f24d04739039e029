"""The results of ranges in a real bucket."""

from collections.abc import Iterator

import numpy as np
import pytest
from minio import Minio

from functions.separate.engine.overlap_add import Block
from functions.separate.ranges.partition import Range, result_key, result_prefix
from functions.separate.ranges.store import RangeStore
from microdemucs.bucket import Bucket
from microdemucs.problems import RetryLater

FIRST, SECOND = (Range(number, 2, "a plan", number, number + 1) for number in range(2))
RANDOM = np.random.default_rng(0)
BLOCKS = [
    Block(0, RANDOM.standard_normal((4, 2, 1000)).astype(np.float32)),
    Block(1000, RANDOM.standard_normal((4, 2, 1)).astype(np.float32)),
    Block(700, RANDOM.standard_normal((4, 2, 400_000)).astype(np.float32)),
]


@pytest.fixture
def job_id(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def results(stems: Bucket, job_id: str) -> RangeStore:
    return RangeStore(stems, job_id)


def test_blocks_are_read_as_they_were_written(results: RangeStore) -> None:
    results.write(FIRST, BLOCKS)
    read = [*results.read(FIRST, sources=4)]
    assert [block.start for block in read] == [0, 1000, 700]
    for written, block in zip(BLOCKS, read, strict=True):
        assert np.array_equal(block.samples, written.samples)
        assert block.samples.flags.writeable


def test_the_ranges_with_a_result_are_listed(results: RangeStore) -> None:
    assert results.existing([FIRST, SECOND]) == []
    results.write(SECOND, BLOCKS)
    assert results.existing([FIRST, SECOND]) == [SECOND]


def test_a_range_that_is_interrupted_has_no_result(
    results: RangeStore, root: Minio, job_id: str
) -> None:
    def interrupted() -> Iterator[Block]:
        yield from BLOCKS
        raise InterruptedError

    with pytest.raises(InterruptedError):
        results.write(FIRST, interrupted())
    assert results.existing([FIRST]) == []
    assert not root._list_multipart_uploads("stems", prefix=result_key(job_id, FIRST)).uploads


def test_a_missing_result_is_a_temporary_error(results: RangeStore) -> None:
    with pytest.raises(RetryLater) as raised:
        next(results.read(FIRST, sources=4))
    assert raised.value.kind == "range-gone"


def test_a_result_that_was_cut_off_is_a_temporary_error(
    results: RangeStore, stems: Bucket, job_id: str
) -> None:
    results.write(FIRST, BLOCKS[:1])
    whole = stems.read(result_key(job_id, FIRST)) or b""
    stems.write(result_key(job_id, FIRST), whole[:-1], "application/octet-stream")
    with pytest.raises(RetryLater, match="ended too early"):
        list(results.read(FIRST, sources=4))


def test_all_results_of_a_job_are_removed(results: RangeStore, stems: Bucket, job_id: str) -> None:
    results.write(FIRST, BLOCKS[:1])
    results.write(SECOND, BLOCKS[:1])
    results.remove_all()
    assert stems.list(result_prefix(job_id)) == []
