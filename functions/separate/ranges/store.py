"""What a range gives, on its way into the bucket and back: blocks of float32, as they come.

A block is its start and its number of samples (two little-endian int64), then [sources, 2, n]. The
1.4 MB for each second of audio lie on disk and in the bucket, not in memory.
"""

import struct
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from minio import Minio
from urllib3 import BaseHTTPResponse

from functions.separate.engine import Floats
from functions.separate.engine.overlap_add import Block
from functions.separate.output.multipart import Upload
from functions.separate.ranges import partition
from functions.separate.ranges.partition import Range
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, map_store_errors, remove_all

_HEAD = struct.Struct("<qq")
_TYPE = "application/octet-stream"


class RangeStore:
    """Those of one job. Every method raises RetryLater."""

    def __init__(self, store: Minio, bucket: str, job: str) -> None:
        self._store = store
        self._bucket = bucket
        self._job = job

    def there(self, parts: Iterable[Range]) -> list[Range]:
        """Those of `parts` whose results are there."""
        with map_store_errors():
            listed = self._store.list_objects(
                self._bucket, partition.prefix(self._job), recursive=True
            )
            names = {one.object_name for one in listed}
        return [part for part in parts if partition.key(self._job, part) in names]

    def write(self, part: Range, blocks: Iterable[Block]) -> None:
        """Put what a range gives, while it comes. It is there when this returns, or not at all."""
        with tempfile.TemporaryFile() as file:
            key = partition.key(self._job, part)
            upload = Upload(self._store, self._bucket, key, _TYPE, file)
            try:
                for start, block in blocks:
                    _append(file, start, block)
                    upload.grown(file.tell())
                upload.finish()
            finally:
                upload.abort()

    def read(self, part: Range, sources: int) -> Iterator[Block]:
        """All blocks of `part`. Raises RetryLater where it is gone, too."""
        try:
            with map_store_errors():
                answer = self._store.get_object(self._bucket, partition.key(self._job, part))
        except ObjectChanged as gone:
            raise RetryLater("range-gone", "A range of the song must be separated again") from gone
        try:
            yield from _blocks(answer, sources)
        finally:
            answer.close()
            answer.release_conn()

    def clear(self) -> None:
        """Remove all of them."""
        remove_all(self._store, self._bucket, partition.prefix(self._job))


def _append(file: BinaryIO, start: int, block: Floats) -> None:
    file.write(_HEAD.pack(start, block.shape[-1]))
    file.write(np.ascontiguousarray(block, "<f4").data)
    file.flush()


def _blocks(answer: BaseHTTPResponse, sources: int) -> Iterator[Block]:
    while head := _read(answer, _HEAD.size):
        start, n = _HEAD.unpack(head)
        data = _read(answer, sources * 2 * n * 4)
        # frombuffer gives what cannot be written to, and the song's level is put back in place
        yield start, np.frombuffer(data, "<f4").reshape(sources, 2, n).copy()


def _read(answer: BaseHTTPResponse, size: int) -> bytes:
    """`size` bytes, or b"" at the end."""
    data = b""
    while len(data) < size:
        with map_store_errors():
            more = answer.read(size - len(data))
        if not more:
            if data:
                raise RetryLater(
                    "store-away", "The store cannot be used now", "an object is cut off"
                )
            break
        data += more
    return data
