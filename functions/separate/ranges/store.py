"""Write the results of ranges to the output bucket, and read them back, block by block.

A block is its start and its number of samples (two little-endian int64), then [sources, 2, n] in
float32. A second of audio takes 1.4 MB in the bucket. What is uploaded takes no disk space any
more.
"""

import struct
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from functions.separate.engine.overlap_add import Block
from functions.separate.output.destination import PART_BYTES
from functions.separate.output.disk_space import free_space
from functions.separate.output.fence import NO_FENCE, Fence
from functions.separate.output.multipart import Upload
from functions.separate.ranges.partition import Range, result_key, result_prefix
from microdemucs.bucket import Bucket, Download
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged

_HEADER = struct.Struct("<qq")
_CONTENT_TYPE = "application/octet-stream"


class RangeStore:
    """The results of one job's ranges. Every method raises RetryLater."""

    def __init__(self, stems: Bucket, job_id: str) -> None:
        self._stems = stems
        self._job_id = job_id

    def existing(self, ranges: Iterable[Range]) -> list[Range]:
        """Return those of `ranges` that have a result."""
        keys = {found.object_name for found in self._stems.list(result_prefix(self._job_id))}
        return [range_ for range_ in ranges if result_key(self._job_id, range_) in keys]

    def write(self, range_: Range, blocks: Iterable[Block], fence: Fence = NO_FENCE) -> None:
        """Upload the blocks as they come. The object exists if this returns, and not before."""
        with tempfile.TemporaryFile() as file:
            key = result_key(self._job_id, range_)
            upload = Upload(self._stems, key, _CONTENT_TYPE, file, fence)
            try:
                freed = PART_BYTES  # the first part is uploaded last
                for block in blocks:
                    _append(file, block)
                    upload.grown(file.tell())
                    if upload.uploaded > freed:
                        free_space(file, freed, upload.uploaded)
                        freed = upload.uploaded
                upload.finish()
            finally:
                upload.abort()

    def read(self, range_: Range, sources: int) -> Iterator[Block]:
        """Yield the blocks of a range of so many sources. Raises RetryLater also if it is gone."""
        try:
            with self._stems.download(result_key(self._job_id, range_)) as download:
                yield from _read_blocks(download, sources)
        except ObjectChanged as error:
            raise RetryLater(
                "range-gone", "The result of a range is missing; the range is separated again"
            ) from error

    def remove_all(self) -> None:
        """Remove the results of all ranges."""
        self._stems.remove_prefix(result_prefix(self._job_id))


def _append(file: BinaryIO, block: Block) -> None:
    file.write(_HEADER.pack(block.start, block.samples.shape[-1]))
    file.write(np.ascontiguousarray(block.samples, "<f4").data)
    file.flush()


def _read_blocks(download: Download, sources: int) -> Iterator[Block]:
    while header := _read_exactly(download, _HEADER.size):
        start, n = _HEADER.unpack(header)
        data = _read_exactly(download, sources * 2 * n * 4)
        # frombuffer returns a read-only array, and the level is restored in place
        yield Block(start, np.frombuffer(data, "<f4").reshape(sources, 2, n).copy())


def _read_exactly(download: Download, size: int) -> bytes:
    """Return `size` bytes, or b"" at the end of the object."""
    data = b""
    while len(data) < size:
        more = download.read(size - len(data))
        if not more:
            if data:
                raise RetryLater(
                    "store-away", "The store cannot be used now", "an object ended too early"
                )
            break
        data += more
    return data
