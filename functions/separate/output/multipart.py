"""An object that is uploaded part by part while its file still grows (S3's multipart upload).

The first part goes last, since an encoder may write its header anew when it ends. What is less
than two parts is put at once.
"""

import os
from contextlib import suppress
from typing import BinaryIO

from minio import Minio
from minio.datatypes import Part

from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, map_store_errors

PART_BYTES = 5 * 1024**2
"""The least that S3 takes for any part but the last: parts leave early, and memory stays small."""


class Upload:
    """One object on its way. Nothing is at its key before `finish` has returned.

    Its methods raise RetryLater. minio-py's public put_object sends parts in their order only, and
    only of what is complete: so this uses its own building blocks, whose names begin with _.
    """

    def __init__(self, store: Minio, bucket: str, key: str, type_: str, file: BinaryIO) -> None:
        self._store = store
        self._at = bucket, key
        self._type = type_
        self._file = file
        self._id = ""
        self._parts: dict[int, Part] = {}

    def grown(self, size: int) -> None:
        """The file has `size` bytes now: upload what parts are complete, but for the first."""
        while size >= (len(self._parts) + 2) * PART_BYTES:
            self._send(len(self._parts) + 2)

    def finish(self) -> int:
        """The file is complete: so is the object, with this many bytes."""
        size = os.fstat(self._file.fileno()).st_size
        if size < 2 * PART_BYTES:
            self._file.seek(0)
            with map_store_errors():
                self._store.put_object(*self._at, self._file, size, self._type)
            return size
        self.grown(size)
        if size > (len(self._parts) + 1) * PART_BYTES:
            self._send(len(self._parts) + 2)
        self._send(1)
        parts = [self._parts[number] for number in sorted(self._parts)]
        with map_store_errors():
            self._store._complete_multipart_upload(*self._at, self._id, parts)
        self._id = ""
        return size

    def abort(self) -> None:
        """Forget what was uploaded, so that it can begin again. Where the store is away it stays
        there, invisible, until the store clears it up."""
        if self._id:
            with suppress(ObjectChanged, RetryLater), map_store_errors():
                self._store._abort_multipart_upload(*self._at, self._id)
        self._id, self._parts = "", {}

    def _send(self, number: int) -> None:
        data = os.pread(self._file.fileno(), PART_BYTES, (number - 1) * PART_BYTES)
        with map_store_errors():
            if not self._id:
                headers: dict[str, str | list[str] | tuple[str]] = {"Content-Type": self._type}
                self._id = self._store._create_multipart_upload(*self._at, headers)
            etag = self._store._upload_part(*self._at, data, None, self._id, number)
        self._parts[number] = Part(number, etag)
