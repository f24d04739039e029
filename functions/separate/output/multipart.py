"""Upload an object part by part while its file still grows (S3's multipart upload).

The first part is sent last, since an encoder may rewrite its header at the end. A file that is
smaller than two parts is put at once.
"""

import os
from contextlib import suppress
from typing import BinaryIO

from minio.datatypes import Part

from microdemucs.bucket import Bucket
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged, map_store_errors

PART_BYTES = 5 * 1024**2
"""The least that S3 accepts for any part but the last, so that parts leave early and few bytes
are in memory."""


class Upload:
    """One object that is being uploaded. Methods raise RetryLater.

    Nothing is at its key before `finish` has returned. minio-py's public put_object needs the
    complete file and sends its parts in order, so this class calls the private methods that
    put_object is made of.
    """

    def __init__(self, bucket: Bucket, key: str, content_type: str, file: BinaryIO) -> None:
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._file = file
        self._id = ""
        self._parts: dict[int, Part] = {}

    def grown(self, size: int) -> None:
        """Upload every complete part but the first; the file has `size` bytes now."""
        while size >= (len(self._parts) + 2) * PART_BYTES:
            self._send(len(self._parts) + 2)

    def finish(self) -> int:
        """Upload the rest, make the object, and return its size in bytes."""
        size = os.fstat(self._file.fileno()).st_size
        if size < 2 * PART_BYTES:
            self._file.seek(0)
            self._bucket.put(self._key, self._file, size, self._content_type)
            return size
        self.grown(size)
        if size > (len(self._parts) + 1) * PART_BYTES:
            self._send(len(self._parts) + 2)
        self._send(1)
        parts = [self._parts[number] for number in sorted(self._parts)]
        with map_store_errors():
            self._bucket.client._complete_multipart_upload(
                self._bucket.name, self._key, self._id, parts
            )
        self._id = ""
        return size

    def abort(self) -> None:
        """Remove what was uploaded. The upload may begin again.

        If the store is away, it keeps the parts, which nobody can see, until it expires them.
        """
        if self._id:
            with suppress(ObjectChanged, RetryLater), map_store_errors():
                self._bucket.client._abort_multipart_upload(self._bucket.name, self._key, self._id)
        self._id, self._parts = "", {}

    def _send(self, number: int) -> None:
        data = os.pread(self._file.fileno(), PART_BYTES, (number - 1) * PART_BYTES)
        client, name = self._bucket.client, self._bucket.name
        with map_store_errors():
            if not self._id:
                headers: dict[str, str | list[str] | tuple[str]] = {
                    "Content-Type": self._content_type
                }
                self._id = client._create_multipart_upload(name, self._key, headers)
            etag = client._upload_part(name, self._key, data, None, self._id, number)
        self._parts[number] = Part(number, etag)
